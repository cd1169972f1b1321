// Blocks of bf16 with vector instructions.
#pragma once
#include "weft/kernels/cpu/bf16_chains.h"
#include "weft/kernels/cpu/matmul_block.h"

namespace weft::kernels::cpu::WEFT_ISA {

// A's panel in words: per step and row both chains.
inline const float* expand_a(const PanelOfA<bf16>& a, int64_t k, int rows, float* to) {
  float* y = to;
  const bf16* step = a.data;
  for (int64_t l = 0; l < k; l += 32, step += a.step)
    for (int r = 0; r < rows; ++r, y += 2 * Links::words) Links::row(step + r * a.row, y);
  return to;
}

// How packed B is best asked for, measured on Zen 5: in bytes, and as Rows::of_packed.
constexpr int64_t bf16_fetch_distance = Links::ks == 2 ? 2048 : 4096;

struct Bf16Rows {
  static constexpr int at_once = bf16_rows_at_once;
  static constexpr Asks of_packed = Links::ks == 2 ? for_beyond : for_lines;

  template <int R, Asks asks>
  static void run(const Block<float, bf16>& x, int first, int half) {
    constexpr int C = vectors_at_once;
    const float* a = x.a + first * 2 * Links::words;
    const bf16* b = x.b + half * 512;
    const float* in = x.in ? x.in + first * x.in_stride + half * 16 : nullptr;
    F32x16 sums[R][C];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c)
        sums[r][c] = in ? F32x16::load(in + r * x.in_stride + c * 16) : F32x16();
    const char* ahead = part_ahead<bf16>(x, first);
    for (int64_t s = 0; s < x.k / 32; ++s, a += x.rows * 2 * Links::words, b += 1024) {
      if constexpr (asks == for_beyond) {
        chains_step(a, b, 512, Beyond<bf16_fetch_distance>{}, sums);
      } else if constexpr (asks == for_lines) {
        const Lines lines{x.b_ahead.from + s * x.b_ahead.step + half * 16 * x.b_ahead.line,
                          x.b_ahead.line};
        chains_step(a, b, 512, lines, sums);
      } else {
        ahead = prefetch<l2, 2>(ahead);
        chains_step(a, b, 512, NoLines{}, sums);
      }
    }
    float* out = x.out + first * x.out_stride + half * 16;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) sums[r][c].store(out + r * x.out_stride + c * 16);
  }
};

struct Bf16Vectors {
  using Element = bf16;
  using Prepared = float;
  static constexpr int64_t fetch_distance = bf16_fetch_distance;
  static constexpr bool fetches_c = true;
  static void begin(int) {}
  static void end() {}
  static const float* prepare(const PanelOfA<bf16>& a, int64_t k, int rows, float* space) {
    return expand_a(a, k, rows, space);
  }
  static void block(const Block<float, bf16>& x) { in_row_groups<Bf16Rows>(x); }
};

}  // namespace weft::kernels::cpu::WEFT_ISA
