// What softmax and cross-entropy need of a row.
#pragma once
#include "weft/kernels/cpu/rows.h"
#include "weft/kernels/cpu/vmath.h"

namespace weft::kernels::cpu::WEFT_ISA {

// NaN may or may not be seen here; exp(x - max) then carries it into the sum.
template <class T>
float row_max(const T* x, int64_t width) {
  F32x16 largest = -infinity;
  each_step(width, [&](int64_t i, auto k)
                       WEFT_INLINE { largest = max(largest, keep(load(x + i, k), k, -infinity)); });
  return max_lanes(largest);
}

// Keeps exp(x - largest) in e when that is wanted; e may be x.
template <bool keep_exp, class T>
float row_sum_exp(const T* x, int64_t width, float largest, [[maybe_unused]] float* e = nullptr) {
  F32x16 sum = {};
  each_step(width, [&](int64_t i, auto k) WEFT_INLINE {
    const F32x16 v = exp(load(x + i, k) - F32x16(largest));
    if constexpr (keep_exp) store(v, e + i, k);
    sum += keep(v, k);
  });
  return sum_lanes(sum);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
