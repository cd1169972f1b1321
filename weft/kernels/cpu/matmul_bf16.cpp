#include "weft/kernels/cpu/matmul_driver.h"
#include "weft/kernels/cpu/matmul_kinds.h"

namespace weft::kernels::cpu::WEFT_ISA {

void matmul_bf16(CpuStream& stream, const Matmul& p) {
  if (p.out == DType::bf16)
    multiply_all<Bf16Vectors, bf16>(stream, p);
  else
    multiply_all<Bf16Vectors, float>(stream, p);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
