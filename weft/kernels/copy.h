// Moving elements without looking at them: transposes, slices, pads, concatenations; and filling.
#pragma once
#include <cstdint>

#include "weft/kernels/kernel.h"

namespace weft::kernels {

// out[sum i_d out_strides[d]] = in[sum i_d in_strides[d]] over the grid of `sizes`. Strides are in
// elements; those of the input may be 0 or negative, those of the output lead to distinct elements.
// Input and output do not overlap.
struct StridedCopy {
  int element_bytes;  // 1, 2, 4 or 8
  int rank;           // up to 8
  int64_t sizes[8], in_strides[8], out_strides[8];
  const void* in;
  void* out;
};

// out[0..n) = the low element_bytes of `bits`.
struct Fill {
  int element_bytes;  // 1, 2, 4 or 8
  uint64_t bits;
  int64_t n;
  void* out;
};

namespace ref {
void strided_copy(const StridedCopy&);
void fill(const Fill&);
}  // namespace ref

WEFT_CPU_KERNEL(strided_copy, StridedCopy)
WEFT_CPU_KERNEL(fill, Fill)

}  // namespace weft::kernels
