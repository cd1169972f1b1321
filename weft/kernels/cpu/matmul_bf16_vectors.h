// Blocks of bf16 with vector FMAs, summed as an AMX tile would.
#pragma once
#include "weft/kernels/cpu/matmul_block.h"

namespace weft::kernels::cpu::WEFT_ISA {

// A's panel as f32: per step and row, the 16 even k and the 16 odd k.
inline const float* expand_a(const bf16* a, int64_t k, int rows, float* to) {
  float* y = to;
  for (int64_t l = 0; l < k; l += 32, a += 1024)
    for (int r = 0; r < rows; ++r, y += 32) {
      half_of_pairs(a + r * 32, false).store(y);
      half_of_pairs(a + r * 32, true).store(y + 16);
    }
  return to;
}

// The even chain, the odd chain, or both of a step, for R rows and C vectors of columns. Inlined
// always, or the sums would live in memory.
template <int R, int C, int first, int count, class Fetching>
[[gnu::always_inline]] inline void chains(const float* a, const bf16* b, Fetching lines,
                                          F32x16 (&sum)[count][R][C]) {
#pragma GCC unroll 32
  for (int i = 0; i < count * R * C; ++i) sum[i / C / R][i / C % R][i % C] = F32x16();
#pragma GCC unroll 1
  for (int pair = 0; pair < 16; ++pair, b += 32) {
#pragma GCC unroll 2
    for (int p = 0; p < count; ++p) {
      F32x16 w[C];
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) w[c] = half_of_pairs(b + c * 512, first + p == 1);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const F32x16 x(a[r * 32 + (first + p) * 16 + pair]);
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) sum[p][r][c] = fma(x, w[c], sum[p][r][c]);
      }
    }
    for (int c = 0; c < C; ++c) lines.next();
  }
}

struct Bf16Rows {
  // even + odd of one step; few rows go through both chains at once.
  template <int R, int C, class Fetching>
  [[gnu::always_inline]] static void step_sums(const float* a, const bf16* b, Fetching lines,
                                               F32x16 (&sum)[1][R][C]) {
    if constexpr (2 * R <= rows_at_once) {
      F32x16 both[2][R][C];
      chains<R, C, 0, 2>(a, b, lines, both);
#pragma GCC unroll 16
      for (int i = 0; i < R * C; ++i)
        sum[0][i / C][i % C] = both[0][i / C][i % C] + both[1][i / C][i % C];
    } else {
      alignas(64) float even[R][C][16];
      chains<R, C, 0, 1>(a, b, lines, sum);
#pragma GCC unroll 32
      for (int i = 0; i < R * C; ++i) sum[0][i / C][i % C].store(even[i / C][i % C]);
      chains<R, C, 1, 1>(a, b, NoLines{}, sum);
#pragma GCC unroll 32
      for (int i = 0; i < R * C; ++i)
        sum[0][i / C][i % C] = F32x16::load(even[i / C][i % C]) + sum[0][i / C][i % C];
    }
  }

  // out = in + (even + odd).
  template <int R, int C, class Fetching>
  static void step(const float* a, const bf16* b, Fetching lines, const float* in,
                   int64_t in_stride, float* out, int64_t out_stride) {
    F32x16 sum[1][R][C];
    step_sums<R, C>(a, b, lines, sum);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) {
        const F32x16 before = in ? F32x16::load(in + r * in_stride + c * 16) : F32x16();
        (before + sum[0][r][c]).store(out + r * out_stride + c * 16);
      }
  }

  // From step to step the sums are held in memory near by; the registers are the chains'.
  template <int R, bool fetch>
  static void run(const Block<float, bf16>& x, int first, int half) {
    constexpr int C = vectors_at_once;
    alignas(64) float held[R * C * 16];
    const float* a = x.a + first * 32;
    const bf16* b = x.b + half * 512;
    const float* in = x.in ? x.in + first * x.in_stride + half * 16 : nullptr;
    int64_t in_stride = x.in_stride;
    const char* ahead = part_ahead<bf16>(x, first);
    for (int64_t s = 0, steps = x.k / 32; s < steps; ++s, a += x.rows * 32, b += 1024) {
      const bool last = s + 1 == steps;
      float* out = last ? x.out + first * x.out_stride + half * 16 : held;
      const int64_t out_stride = last ? x.out_stride : C * 16;
      if constexpr (fetch) {
        const Lines lines{x.b_ahead.from + s * x.b_ahead.step + half * 16 * x.b_ahead.line,
                          x.b_ahead.line};
        step<R, C>(a, b, lines, in, in_stride, out, out_stride);
      } else {
        ahead = prefetch<l2, 2>(ahead);
        step<R, C>(a, b, NoLines{}, in, in_stride, out, out_stride);
      }
      in = held, in_stride = C * 16;
    }
  }
};

struct Bf16Vectors {
  using Element = bf16;
  using Prepared = float;
  static constexpr int64_t fetch_distance = 4096;
  static void begin(int) {}
  static void end() {}
  static const float* prepare(const bf16* a, int64_t k, int rows, float* space) {
    return expand_a(a, k, rows, space);
  }
  static void block(const Block<float, bf16>& x) { in_row_groups<Bf16Rows>(x); }
};

}  // namespace weft::kernels::cpu::WEFT_ISA
