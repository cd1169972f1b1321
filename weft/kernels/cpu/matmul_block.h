// A 32 x 32 block of C as the kernels that multiply one see it, and how vectors share it.
//
// A Kind is a way to multiply a block:
//   Element           the operands' type;  Prepared: what block() reads A as
//   k_chunk           K it likes to go through at once
//   direct            sums may lie in C itself
//   begin(rows), end  around a thread's work; rows of A's panels that exist
//   prepare           A's packed panel as block() wants it
//   block             the product
#pragma once
#include "weft/kernels/cpu/matmul_lanes.h"

namespace weft::kernels::cpu::WEFT_ISA {

constexpr int64_t block_stride = 32;  // of sums that lie by themselves: 32 rows of 32

// out = in + A B over a run of K. `in` null: from zero; it may be `out`.
template <class A, class B>
struct Block {
  const A* a;
  const B* b;
  int64_t k;  // bf16: a multiple of 32
  int rows;   // of A that are wanted; the others may be left out
  const float* in;
  float* out;
  int64_t in_stride, out_stride;  // from row to row
  bool fetch;                     // B comes from memory: ask for it ahead
};

// Registers hold the sums of rows_at_once rows by vectors_at_once times 16 columns.
#if defined(__AVX512F__)
constexpr int rows_at_once = 11, vectors_at_once = 2;
#else
constexpr int rows_at_once = 6, vectors_at_once = 1;
#endif

// Calls Rows::run<R, fetch>(x, first, half) for the run-time number of rows R <= rows_at_once.
template <class Rows, bool fetch, int R, class Block>
inline void with_rows(int rows, const Block& x, int first, int half) {
  if (rows == R)
    Rows::template run<R, fetch>(x, first, half);
  else if constexpr (R > 1)
    with_rows<Rows, fetch, R - 1>(rows, x, first, half);
}

// All rows of a block in groups of about equal size; columns from half * 16.
template <class Rows, class Block>
inline void in_row_groups(const Block& x) {
  const int groups = (x.rows + rows_at_once - 1) / rows_at_once;
  for (int g = 0; g < groups; ++g) {
    const int first = x.rows * g / groups, last = x.rows * (g + 1) / groups;
    for (int half = 0; half < 2; half += vectors_at_once)
      if (x.fetch)
        with_rows<Rows, true, rows_at_once>(last - first, x, first, half);
      else
        with_rows<Rows, false, rows_at_once>(last - first, x, first, half);
  }
}

}  // namespace weft::kernels::cpu::WEFT_ISA
