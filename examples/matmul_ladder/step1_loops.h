// The definition. B is read down its columns: every number from another line of the cache.
#pragma once
#include "examples/matmul_ladder/product.h"

namespace ladder {

inline void three_loops(const Product& p) {
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      float sum = 0;
      for (int k = 0; k < n; ++k) sum += p.a[i * n + k] * p.b[k * n + j];
      p.c[i * n + j] = sum;
    }
}

}  // namespace ladder
