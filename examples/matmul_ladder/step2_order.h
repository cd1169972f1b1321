// The same sums with the loops in another order: the innermost one now runs along rows of B and C,
// eight neighbours at a time. Every multiply-add still loads and stores its sum.
#pragma once
#include <algorithm>

#include "examples/matmul_ladder/product.h"

namespace ladder {

inline void along_rows(const Product& p) {
  for (int i = 0; i < n; ++i) {
    float* c = p.c + i * n;
    std::fill(c, c + n, 0.0f);
    for (int k = 0; k < n; ++k) {
      const __m256 a = _mm256_set1_ps(p.a[i * n + k]);
      const float* b = p.b + k * n;
      for (int j = 0; j < n; j += 8)
        _mm256_storeu_ps(c + j, _mm256_fmadd_ps(a, _mm256_loadu_ps(b + j), _mm256_loadu_ps(c + j)));
    }
  }
}

}  // namespace ladder
