#include "weft/kernels/matmul.h"

#include "weft/kernels/cpu/matmul_kinds.h"
#include "weft/kernels/cpu/matmul_share.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

template <class T>
void pack_all(CpuStream& stream, const MatmulPack& p) {
  const Source<T> source{static_cast<const T*>(p.b.data), p.b.col_stride, p.b.row_stride, p.n, p.k};
  const int64_t panels = (p.n + 31) / 32, k = matmul_k_padded(p.k, p.dtype);
  stream.pool().run([&](int thread) {
    pack_share<false>(source, static_cast<T*>(p.packed), panels, {0, panels}, k, thread,
                      stream.threads());
  });
}

}  // namespace

void matmul(CpuStream& stream, const Matmul& p) {
  if (p.in == DType::bf16)
    matmul_bf16(stream, p);
  else
    matmul_f32(stream, p);
}

void matmul_pack_b(CpuStream& stream, const MatmulPack& p) {
  if (p.n == 0) return;
  if (p.dtype == DType::bf16)
    pack_all<bf16>(stream, p);
  else
    pack_all<float>(stream, p);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
