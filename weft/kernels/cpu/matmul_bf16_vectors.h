// Blocks of bf16 with vector FMAs, summed as an AMX tile would.
#pragma once
#include "weft/kernels/cpu/matmul_block.h"

namespace weft::kernels::cpu::WEFT_ISA {

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
  // out = in + (even + odd) of one step.
  template <int R, int C, bool fetch>
  static void step(const float* a, const bf16* b, const float* in, int64_t in_stride, float* out,
                   int64_t out_stride) {
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
        const F32x16 both = F32x16::load(even[r][c]) + sum[r][c];
        const F32x16 before = in ? F32x16::load(in + r * in_stride + c * 16) : F32x16();
        (before + both).store(out + r * out_stride + c * 16);
      }
  }

  template <int R, bool fetch>
  static void run(const Block<float, bf16>& x, int first, int half) {
    const float* a = x.a + first * 32;
    const bf16* b = x.b + half * 512;
    const float* in = x.in ? x.in + first * x.in_stride + half * 16 : nullptr;
    float* out = x.out + first * x.out_stride + half * 16;
    int64_t in_stride = x.in_stride;
    for (int64_t l = 0; l < x.k; l += 32, a += x.rows * 32, b += 1024) {
      step<R, vectors_at_once, fetch>(a, b, in, in_stride, out, x.out_stride);
      in = out, in_stride = x.out_stride;
    }
  }
};

struct Bf16Vectors {
  using Element = bf16;
  using Prepared = float;
  static constexpr int64_t k_chunk = 256;  // expanded A: 32 KiB
  static constexpr bool direct = false;    // every step goes through the sums
  static void begin(int) {}
  static void end() {}
  static const float* prepare(const bf16* a, int64_t k, int rows, float* space) {
    return expand_a(a, k, rows, space);
  }
  static void block(const Block<float, bf16>& x) { in_row_groups<Bf16Rows>(x); }
};

}  // namespace weft::kernels::cpu::WEFT_ISA
