// Registers of 16 numbers, and 32 of them: 12 x 32 sums, so that each load of B serves twelve
// multiply-adds of twice the width.
#pragma once
#include <algorithm>

#include "examples/matmul_ladder/product.h"

namespace ladder {

[[gnu::target("avx512f")]] inline void block_avx512(const Product& p, const float* panel, int i,
                                                    int j) {
  __m512 sums[12][2];
#pragma GCC unroll 12
  for (int r = 0; r < 12; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (int k = 0; k < n; ++k) {
    const __m512 left = _mm512_loadu_ps(panel + k * 32);
    const __m512 right = _mm512_loadu_ps(panel + k * 32 + 16);
#pragma GCC unroll 12
    for (int r = 0; r < 12; ++r) {
      const __m512 a = _mm512_set1_ps(p.a[(i + r) * n + k]);
      sums[r][0] = _mm512_fmadd_ps(a, left, sums[r][0]);
      sums[r][1] = _mm512_fmadd_ps(a, right, sums[r][1]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < 12; ++r) {
    _mm512_storeu_ps(p.c + (i + r) * n + j, sums[r][0]);
    _mm512_storeu_ps(p.c + (i + r) * n + j + 16, sums[r][1]);
  }
}

inline void wide_registers(const Product& p) {
  float* panel = copy_of_b<float>();
  for (int j = 0; j < n; j += 32) {
    for (int k = 0; k < n; ++k) std::copy_n(p.b + k * n + j, 32, panel + k * 32);
    for (int i = 0; i < n; i += 12) block_avx512(p, panel, i, j);
  }
}

}  // namespace ladder
