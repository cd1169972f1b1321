// 32 x 32 blocks of C with vector FMAs: bf16 as AMX tiles would sum it, and f32.
#pragma once
#include "weft/kernels/cpu/matmul_epilogue.h"
#include "weft/kernels/cpu/matmul_lanes.h"

namespace weft::kernels::cpu::WEFT_ISA {

// One block over a run of K. `in` null: the sums start at zero; it may be `out`.
template <class A, class B>
struct Block {
  const A* a;
  const B* b;
  int64_t k;        // a multiple of 32 for bf16
  int rows;         // of A that are wanted; the others may be left out
  const float* in;  // tile order (sum_offset)
  float* out;
  bool b_in_memory;  // not yet in a cache near by: to be fetched ahead
};

// Registers hold the sums of rows_at_once rows by vectors_at_once times 16 columns.
#if defined(__AVX512F__)
constexpr int rows_at_once = 11, vectors_at_once = 2;
#else
constexpr int rows_at_once = 6, vectors_at_once = 1;
#endif

// Calls Rows::run<R>(...) for the run-time number of rows R <= rows_at_once.
template <class Rows, int R = rows_at_once, class... Args>
inline void with_rows(int rows, const Args&... args) {
  if (rows == R) return Rows::template run<R>(args...);
  if constexpr (R > 1) with_rows<Rows, R - 1>(rows, args...);
}

// All rows of a block in groups of about equal size.
template <class Rows, class Block>
inline void in_row_groups(const Block& x) {
  const int groups = (x.rows + rows_at_once - 1) / rows_at_once;
  for (int g = 0; g < groups; ++g) {
    const int first = x.rows * g / groups, last = x.rows * (g + 1) / groups;
    for (int half = 0; half < 2; half += vectors_at_once)
      with_rows<Rows>(last - first, x, first, half);
  }
}

inline void start_sums(const float* in, float* out) {
  if (in == out) return;
  for (int i = 0; i < 1024; i += 16) (in ? F32x16::load(in + i) : F32x16()).store(out + i);
}

// ---- bf16 -------------------------------------------------------------------------------------

// A's panel as f32: per step and row, the 16 even k and the 16 odd k.
inline const float* expand_a(const bf16* a, int64_t k, int rows, float* to) {
  float* y = to;
  for (int64_t l = 0; l < k; l += 32, a += 1024)
    for (int r = 0; r < rows; ++r, y += 32) {
      half_of_pairs<false>(a + r * 32).store(y);
      half_of_pairs<true>(a + r * 32).store(y + 16);
    }
  return to;
}

// One of the two chains of a step, for R rows and C vectors of columns.
template <int R, int C, bool odd, bool fetch>
inline void chain(const float* a, const bf16* b, F32x16 (&sum)[R][C]) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) sum[r][c] = F32x16();
#pragma GCC unroll 1
  for (int pair = 0; pair < 16; ++pair, b += 32) {
    F32x16 w[C];
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) {
      w[c] = half_of_pairs<odd>(b + c * 512);
      if (fetch) _mm_prefetch((const char*)(b + 1024 + c * 512), _MM_HINT_T0);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const F32x16 x(a[r * 32 + odd * 16 + pair]);
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) sum[r][c] = fma(x, w[c], sum[r][c]);
    }
  }
}

struct Bf16Rows {
  // sums += even + odd of one step, for rows first.. and columns from half * 16.
  template <int R, bool fetch>
  static void step(const float* a, const bf16* b, int first, int half, float* sums) {
    constexpr int C = vectors_at_once;
    alignas(64) float even[R][C][16];
    F32x16 sum[R][C];
    chain<R, C, false, fetch>(a, b, sum);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) sum[r][c].store(even[r][c]);
    chain<R, C, true, false>(a, b, sum);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) {
        float* s = sums + sum_offset(first + r, half + c);
        (F32x16::load(s) + (F32x16::load(even[r][c]) + sum[r][c])).store(s);
      }
  }
  template <int R>
  static void run(const Block<float, bf16>& x, int first, int half) {
    const float* a = x.a + first * 32;
    const bf16* b = x.b + half * 512;
    for (int64_t l = 0; l < x.k; l += 32, a += x.rows * 32, b += 1024) {
      if (x.b_in_memory)
        step<R, true>(a, b, first, half, x.out);
      else
        step<R, false>(a, b, first, half, x.out);
    }
  }
};

struct Bf16Vectors {
  static void begin(int) {}
  static void end() {}
  using Element = bf16;
  using Prepared = float;
  static constexpr int64_t k_chunk = 256;  // expanded A: 32 KiB
  static const float* prepare(const bf16* a, int64_t k, int rows, float* space) {
    return expand_a(a, k, rows, space);
  }
  static void block(const Block<float, bf16>& x) {
    start_sums(x.in, x.out);
    in_row_groups<Bf16Rows>(x);
  }
};

// ---- f32 --------------------------------------------------------------------------------------

struct F32Rows {
  template <int R>
  static void run(const Block<float, float>& x, int first, int half) {
    constexpr int C = vectors_at_once;
    const float *a = x.a + first, *b = x.b + half * 16;
    F32x16 sum[R][C];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) sum[r][c] = F32x16::load(x.out + sum_offset(first + r, half + c));
#pragma GCC unroll 1
    for (int64_t l = 0; l < x.k; ++l, a += 32, b += 32) {
      F32x16 w[C];
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) w[c] = F32x16::load(b + c * 16);
      if (x.b_in_memory) _mm_prefetch((const char*)(b + 512), _MM_HINT_T0);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const F32x16 v(a[r]);
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) sum[r][c] = fma(v, w[c], sum[r][c]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) sum[r][c].store(x.out + sum_offset(first + r, half + c));
  }
};

struct F32Vectors {
  static void begin(int) {}
  static void end() {}
  using Element = float;
  using Prepared = float;
  static constexpr int64_t k_chunk = 256;
  static const float* prepare(const float* a, int64_t, int, float*) { return a; }
  static void block(const Block<float, float>& x) {
    start_sums(x.in, x.out);
    in_row_groups<F32Rows>(x);
  }
};

}  // namespace weft::kernels::cpu::WEFT_ISA
