// Numbers of 16 bits: vdpbf16ps multiplies 32 pairs and adds two products to each of 16 f32 sums.
// For that, two rows of B are interleaved: panel[k / 2][column][k % 2].
#pragma once
#include <cstring>

#include "examples/matmul_ladder/product.h"

namespace ladder {

// Columns [j, j + 32) of B.
inline void pack_pairs(const Product& p, int j, bf16* panel) {
  for (int k = 0; k < n; ++k)
    for (int column = 0; column < 32; ++column)
      panel[(k / 2 * 32 + column) * 2 + k % 2] = p.b16[k * n + j + column];
}

[[gnu::target("avx512f,avx512bf16")]] inline void block_bf16(const Product& p, const bf16* panel,
                                                             int i, int j) {
  __m512 sums[12][2];
#pragma GCC unroll 12
  for (int r = 0; r < 12; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (int k = 0; k < n; k += 2) {
    const auto left = (__m512bh)_mm512_loadu_si512(panel + k * 32);
    const auto right = (__m512bh)_mm512_loadu_si512(panel + k * 32 + 32);
#pragma GCC unroll 12
    for (int r = 0; r < 12; ++r) {
      int pair;
      std::memcpy(&pair, p.a16 + (i + r) * n + k, sizeof pair);
      const auto a = (__m512bh)_mm512_set1_epi32(pair);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], a, left);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], a, right);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < 12; ++r) {
    _mm512_storeu_ps(p.c + (i + r) * n + j, sums[r][0]);
    _mm512_storeu_ps(p.c + (i + r) * n + j + 16, sums[r][1]);
  }
}

inline void pairs(const Product& p) {
  bf16* panel = copy_of_b<bf16>();
  for (int j = 0; j < n; j += 32) {
    pack_pairs(p, j, panel);
    for (int i = 0; i < n; i += 12) block_bf16(p, panel, i, j);
  }
}

}  // namespace ladder
