// A 32 x 32 block of C as the kernels that multiply one see it, and how vectors share it.
//
// A Kind is a way to multiply a block:
//   Element           the operands' type;  Prepared: what block() reads A as
//   fetch_distance    bytes by which packed B is best asked for ahead
//   fetches_c         whether what an epilogue reads and writes is asked for beside a block
//   begin(rows), end  around a thread's work; rows of A's panels that exist
//   prepare           A's panel as block() wants it
//   block             the product
#pragma once
#include "weft/kernels/cpu/matmul_lanes.h"
#include "weft/kernels/cpu/rows.h"

namespace weft::kernels::cpu::WEFT_ISA {

constexpr int64_t block_stride = 32;  // of sums that lie by themselves: 32 rows of 32

enum Cache { l1, l2 };

// Ask for `lines` lines from p on; what follows them. (Not inlined early, a function that only
// prefetches is dropped by GCC 12.)
template <Cache cache, int lines = 1>
WEFT_INLINE inline const char* prefetch(const char* p, int64_t apart = 64) {
#pragma GCC unroll 8
  for (int i = 0; i < lines; ++i)
    _mm_prefetch(p + i * apart, cache == l1 ? _MM_HINT_T0 : _MM_HINT_T1);
  return p + lines * apart;
}

// B that comes from memory and has to be asked for ahead: 32 lines for every 2 KiB of the panel
// that is multiplied meanwhile, 32 k of bf16 or 16 of f32.
struct Fetch {
  const char* from = nullptr;      // null: nothing
  int64_t line = 64, step = 2048;  // bytes from line to line, and from one 2 KiB to the next
  bool packed = false;             // `from` is fetch_distance beyond what is read
};
enum Asks { for_nothing, for_lines, for_beyond };

// What is asked for while a line of B is read. One line after the other:
struct Lines {
  const char* at;
  int64_t apart;
  void next(const void* = nullptr) { at = prefetch<l1>(at, apart); }
};
// What lies `distance` bytes beyond it.
template <int64_t distance>
struct Beyond {
  WEFT_INLINE void next(const void* read) {
    prefetch<l1>(static_cast<const char*>(read) + distance);
  }
};

// 32 rows of A over a run of K: packed, or, of bf16, where they lie. In elements: from row to row,
// and from one step of 32 k to the next.
template <class T>
struct PanelOfA {
  const T* data;
  int64_t row = 32, step = 1024;
};

// out = in + A B over a run of K. `in` null: from zero; it may be `out`.
template <class A, class B>
struct Block {
  const A* a;
  int64_t a_row, a_step;  // PanelOfA's; what is not multiplied as it lies needs none
  const B* b;
  int64_t k;  // bf16: a multiple of 32
  int rows;   // of A that are wanted; the others may be left out
  const float* in;
  float* out;
  int64_t in_stride, out_stride;  // from row to row
  Fetch b_ahead;
  const char* ahead;  // bytes_ahead(k) to bring into L2 meanwhile
};

// 3/16 of a panel.
template <class T>
constexpr int64_t bytes_ahead(int64_t k) {
  return k * 32 * int64_t(sizeof(T)) * 3 / 16;
}
// Rows from `first` on bring their part.
template <class T, class Block>
inline const char* part_ahead(const Block& x, int first) {
  return x.ahead + bytes_ahead<T>(x.k) * first / 32;
}

// Registers hold the sums of so many rows by vectors_at_once times 16 columns; of bf16 two each.
#if defined(__AVX512F__)
constexpr int f32_rows_at_once = 11, bf16_rows_at_once = 6, vectors_at_once = 2;
#else
constexpr int f32_rows_at_once = 6, bf16_rows_at_once = 3, vectors_at_once = 1;
#endif

// Calls Rows::run<R, asks>(x, first, half) for the run-time number of rows R <= Rows::at_once;
// Rows::of_packed: what it asks for where B is packed.
template <class Rows, Asks asks, int R, class Block>
inline void with_rows(int rows, const Block& x, int first, int half) {
  if (rows == R)
    Rows::template run<R, asks>(x, first, half);
  else if constexpr (R > 1)
    with_rows<Rows, asks, R - 1>(rows, x, first, half);
}

// All rows of a block in groups of about equal size; columns from half * 16.
template <class Rows, class Block>
inline void in_row_groups(const Block& x) {
  const int groups = (x.rows + Rows::at_once - 1) / Rows::at_once;
  for (int g = 0; g < groups; ++g) {
    const int first = x.rows * g / groups, last = x.rows * (g + 1) / groups;
    for (int half = 0; half < 2; half += vectors_at_once)
      if (!x.b_ahead.from)
        with_rows<Rows, for_nothing, Rows::at_once>(last - first, x, first, half);
      else if (x.b_ahead.packed)
        with_rows<Rows, Rows::of_packed, Rows::at_once>(last - first, x, first, half);
      else
        with_rows<Rows, for_lines, Rows::at_once>(last - first, x, first, half);
  }
}

}  // namespace weft::kernels::cpu::WEFT_ISA
