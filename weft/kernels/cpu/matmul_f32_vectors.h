// Blocks of f32: one chain of FMAs for each element.
#pragma once
#include "weft/kernels/cpu/matmul_block.h"

namespace weft::kernels::cpu::WEFT_ISA {

struct F32Rows {
  static constexpr int at_once = f32_rows_at_once;
  static constexpr Asks of_packed = for_lines;

  template <int R, Asks asks>
  static void run(const Block<float, float>& x, int first, int half) {
    constexpr int C = vectors_at_once;
    const float *a = x.a + first, *b = x.b + half * 16;
    const float* in = x.in ? x.in + first * x.in_stride + half * 16 : nullptr;
    F32x16 sum[R][C];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c)
        sum[r][c] = in ? F32x16::load(in + r * x.in_stride + c * 16) : F32x16();
    Lines lines{nullptr, x.b_ahead.line};
    const char* ahead = part_ahead<float>(x, first);
#pragma GCC unroll 1
    for (int64_t l = 0; l < x.k; ++l, a += 32, b += 32) {
      if (asks == for_nothing && l % 8 == 0) ahead = prefetch<l2>(ahead);
      if (asks == for_lines && l % 16 == 0)
        lines.at = x.b_ahead.from + l / 16 * x.b_ahead.step + half * 16 * x.b_ahead.line;
      F32x16 w[C];
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) {
        w[c] = F32x16::load(b + c * 16);
        if (asks == for_lines) lines.next();
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const F32x16 v(a[r]);
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) sum[r][c] = fma(v, w[c], sum[r][c]);
      }
    }
    float* out = x.out + first * x.out_stride + half * 16;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) sum[r][c].store(out + r * x.out_stride + c * 16);
  }
};

struct F32Vectors {
  using Element = float;
  using Prepared = float;
  static constexpr int64_t fetch_distance = 4096;
  static constexpr bool fetches_c = true;
  static void begin(int) {}
  static void end() {}
  static const float* prepare(const PanelOfA<float>& a, int64_t, int, float*) { return a.data; }
  static void block(const Block<float, float>& x) { in_row_groups<F32Rows>(x); }
};

}  // namespace weft::kernels::cpu::WEFT_ISA
