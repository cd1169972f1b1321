// The products there are by type, each in a file of its own so that they compile side by side.
#pragma once
#include "weft/kernels/matmul.h"

namespace weft::kernels::cpu::WEFT_ISA {

void matmul_bf16(CpuStream& stream, const Matmul& params);
void matmul_f32(CpuStream& stream, const Matmul& params);

}  // namespace weft::kernels::cpu::WEFT_ISA
