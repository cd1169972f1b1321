// Blocks of bf16 with vector instructions.
#pragma once
#include "weft/kernels/cpu/bf16_chains.h"
#include "weft/kernels/cpu/matmul_block.h"

namespace weft::kernels::cpu::WEFT_ISA {

// A's panel in words: per step and row both chains.
template <class Links>
inline const float* expand_a(const PanelOfA<bf16>& a, int64_t k, int rows, float* to) {
  float* y = to;
  const bf16* step = a.data;
  for (int64_t l = 0; l < k; l += 32, step += a.step)
    for (int r = 0; r < rows; ++r, y += 2 * Links::words) Links::row(step + r * a.row, y);
  return to;
}

template <class Links>
struct Bf16Rows {
  static constexpr int at_once = bf16_rows_at_once;

  // From step to step the sums are held in memory near by; the registers are the chains'.
  template <int R, bool fetch>
  static void run(const Block<float, bf16>& x, int first, int half) {
    constexpr int C = vectors_at_once;
    alignas(64) float held[R * C * 16];
    const float* a = x.a + first * 2 * Links::words;
    const bf16* b = x.b + half * 512;
    const float* in = x.in ? x.in + first * x.in_stride + half * 16 : nullptr;
    int64_t in_stride = x.in_stride;
    const char* ahead = part_ahead<bf16>(x, first);
    for (int64_t s = 0, steps = x.k / 32; s < steps;
         ++s, a += x.rows * 2 * Links::words, b += 1024) {
      const bool last = s + 1 == steps;
      float* out = last ? x.out + first * x.out_stride + half * 16 : held;
      const int64_t out_stride = last ? x.out_stride : C * 16;
      if constexpr (fetch) {
        const Lines lines{x.b_ahead.from + s * x.b_ahead.step + half * 16 * x.b_ahead.line,
                          x.b_ahead.line};
        chains_step<Links, R, C>(a, b, 512, lines, in, in_stride, out, out_stride);
      } else {
        ahead = prefetch<l2, 2>(ahead);
        chains_step<Links, R, C>(a, b, 512, NoLines{}, in, in_stride, out, out_stride);
      }
      in = held, in_stride = C * 16;
    }
  }
};

template <class Links>
struct Bf16Vectors {
  using Element = bf16;
  using Prepared = float;
  static constexpr int64_t fetch_distance = 4096;
  static constexpr bool fetches_c = true;
  static void begin(int) {}
  static void end() {}
  static const float* prepare(const PanelOfA<bf16>& a, int64_t k, int rows, float* space) {
    return expand_a<Links>(a, k, rows, space);
  }
  static void block(const Block<float, bf16>& x) { in_row_groups<Bf16Rows<Links>>(x); }
};

}  // namespace weft::kernels::cpu::WEFT_ISA
