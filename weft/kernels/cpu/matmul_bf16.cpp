#include "weft/kernels/cpu/matmul_bf16_vectors.h"
#include "weft/kernels/cpu/matmul_driver.h"
#include "weft/kernels/cpu/matmul_kinds.h"

namespace weft::kernels::cpu::WEFT_ISA {

#if defined(__AMX_TILE__)
using Bf16Kind = Bf16Tiles;
#else
using Bf16Kind = Bf16Vectors;
#endif

void matmul_bf16(CpuStream& stream, const Matmul& p) {
  if (p.out == DType::bf16)
    multiply_all<Bf16Kind, bf16>(stream, p);
  else
    multiply_all<Bf16Kind, float>(stream, p);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
