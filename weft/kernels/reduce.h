// Sums, extremes and the place of the largest over one dimension.
#pragma once
#include <cstdint>

#include "weft/kernels/kernel.h"

namespace weft::kernels {

enum class ReduceOp : uint8_t {
  sum,
  max,  // NaN if any is
  min,
  argmax,  // of the first of the largest, or of the first NaN
};

// Over nothing: a sum is 0, the maximum -inf, the minimum inf (integers: 0), argmax 0.
struct Reduce {
  ReduceOp op;
  DType in_dtype,
      out_dtype;  // out: a float for a float, an integer for an integer; i32 or i64 for argmax
  int64_t outer, reduce, inner;
  const void* in;  // [outer, reduce, inner], contiguous
  void* out;       // [outer, inner]
  void* scratch;   // reduce_scratch_bytes(*this), aligned to 64 bytes
};

// Whether cpu::reduce runs it: f32, bf16 or f16 to one of these or, for argmax, to i32 or i64.
bool reduce_fast(const Reduce&);
int64_t reduce_scratch_bytes(const Reduce&);

// The order of an f32 sum depends only on `reduce` and on whether inner is 1.
//   inner == 1: blocks of 4096 elements, each 16 interleaved partials; the blocks' partials added
//   ascending, then the tree
//               of cpu/simd.h.
//   inner > 1:  blocks of 64 rows, each one chain per column; the blocks' chains added ascending.
constexpr int64_t reduce_row_block = 4096, reduce_column_block = 64;

// cpu::reduce where it can, else ref::reduce.
void reduce(CpuStream&, const Reduce&);

namespace ref {
// Every dtype, and the oracle: floats in double, integers in int64 (wrapping).
void reduce(const Reduce&);
}  // namespace ref

WEFT_CPU_KERNEL(reduce, Reduce)

}  // namespace weft::kernels
