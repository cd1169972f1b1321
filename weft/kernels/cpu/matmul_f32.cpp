#include "weft/kernels/cpu/matmul_driver.h"
#include "weft/kernels/cpu/matmul_f32_vectors.h"
#include "weft/kernels/cpu/matmul_kinds.h"

namespace weft::kernels::cpu::WEFT_ISA {

void matmul_f32(CpuStream& stream, const Matmul& p) {
  multiply_all<F32Vectors, float>(stream, p);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
