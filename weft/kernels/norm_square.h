// The global norm of gradients and the factor that clips it (Pascanu, Mikolov and Bengio,
// arXiv:1211.5063).
#pragma once
#include "weft/kernels/kernel.h"

namespace weft::kernels {

// The sum of squares in f64. Blocks of 4096 elements of the tensor's index: within a block sixteen
// interleaved sums and the tree of simd.h, then the blocks in ascending order. A part of a tensor
// that begins and ends on a block (or at the tensor's end) has the same block sums as the whole.
struct NormSquare {
  int64_t n = 0;
  DType dtype = DType::f32;  // of x; f64 through ref
  const void* x = nullptr;   // [n]
  double* out = nullptr;     // scalar
  double* scratch =
      nullptr;  // [ceil(n / 4096)]: the block sums; norm_square_scratch_bytes; ref needs none
};

constexpr int64_t norm_square_block = 4096;
constexpr int64_t norm_square_scratch_bytes(int64_t n) {
  return (n + norm_square_block - 1) / norm_square_block * 8;
}

// norm = sqrt(squares[0] + squares[1] + ...), added in order; scale = min(1, max_norm / (norm +
// 1e-6)). Not a number stays so in both.
struct ClipScale {
  int64_t count = 0;
  const double* squares = nullptr;  // [count], one per tensor
  double max_norm = 1;              // infinity: no clipping
  float* scale = nullptr;           // scalar
  float* norm = nullptr;            // scalar, or null: not wanted
};

WEFT_CPU_KERNEL(norm_square, NormSquare)
WEFT_CPU_KERNEL(clip_scale, ClipScale)

namespace ref {
// T: float or double.
template <class T>
void norm_square(const NormSquare& params);
}  // namespace ref

}  // namespace weft::kernels
