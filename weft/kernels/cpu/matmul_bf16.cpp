#include "weft/kernels/cpu/matmul_bf16_vectors.h"
#include "weft/kernels/cpu/matmul_driver.h"
#include "weft/kernels/cpu/matmul_kinds.h"

namespace weft::kernels::cpu::WEFT_ISA {

namespace {

template <class Kind>
void multiply(CpuStream& stream, const Matmul& p) {
  if (p.out == DType::bf16)
    multiply_all<Kind, bf16>(stream, p);
  else
    multiply_all<Kind, float>(stream, p);
}

}  // namespace

void matmul_bf16(CpuStream& stream, const Matmul& p) {
#if defined(__AMX_TILE__)
  if (stream.isa() == Isa::amx) return multiply<Bf16Tiles>(stream, p);
#endif
  multiply<Bf16Vectors>(stream, p);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
