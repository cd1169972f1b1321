#include "weft/kernels/layer_norm.h"

#include "weft/kernels/cpu/layer_norm_rows.h"

namespace weft::kernels::cpu::WEFT_ISA {

void layer_norm_forward(CpuStream& stream, const LayerNormForward& p) {
  if (p.dtype == DType::bf16)
    norm_forward<bf16, true>(stream, p);
  else
    norm_forward<float, true>(stream, p);
}

void layer_norm_backward(CpuStream& stream, const LayerNormBackward& p) {
  if (p.dtype == DType::bf16)
    norm_backward<bf16, true>(stream, p);
  else
    norm_backward<float, true>(stream, p);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
