// 16 columns of B are copied together first: 48 KiB in the order in which they are read, where
// before every row was in another page. The copy is used by all 128 blocks of rows.
#pragma once
#include <algorithm>

#include "examples/matmul_ladder/step3_registers.h"

namespace ladder {

inline void packed(const Product& p) {
  float* panel = copy_of_b<float>();
  for (int j = 0; j < n; j += 16) {
    for (int k = 0; k < n; ++k) std::copy_n(p.b + k * n + j, 16, panel + k * 16);
    for (int i = 0; i < n; i += 6) block_of_registers(p, panel, 16, i, j);
  }
}

}  // namespace ladder
