#include "weft/kernels/rms_norm.h"

#include "weft/kernels/cpu/layer_norm_rows.h"

namespace weft::kernels::cpu::WEFT_ISA {

void rms_norm_forward(CpuStream& stream, const RmsNormForward& p) {
  LayerNormForward q;
  q.rows = p.rows, q.width = p.width, q.dtype = p.dtype, q.eps = p.eps;
  q.x = p.x, q.gamma = p.gamma, q.y = p.y, q.rstd = p.rstd;
  if (p.dtype == DType::bf16)
    norm_forward<bf16, false>(stream, q);
  else
    norm_forward<float, false>(stream, q);
}

void rms_norm_backward(CpuStream& stream, const RmsNormBackward& p) {
  LayerNormBackward q;
  q.rows = p.rows, q.width = p.width, q.dtype = p.dtype, q.scratch = p.scratch;
  q.dy = p.dy, q.x = p.x, q.gamma = p.gamma, q.rstd = p.rstd, q.residual_grad = p.residual_grad;
  q.dx = p.dx, q.dgamma = p.dgamma;
  if (p.dtype == DType::bf16)
    norm_backward<bf16, false>(stream, q);
  else
    norm_backward<float, false>(stream, q);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
