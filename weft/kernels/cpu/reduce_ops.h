// The operations of reduce.cpp on sixteen lanes, and the place of the largest.
#pragma once
#include "weft/kernels/cpu/rows.h"
#include "weft/kernels/cpu/vmath.h"
#include "weft/kernels/reduce.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

struct Sum {
  static constexpr float first = 0;
  static F32x16 start() { return first; }
  static F32x16 join(F32x16 a, F32x16 b) { return a + b; }
  static float tree(F32x16 x) { return reduce_add(x); }
};

// The instructions give the second operand when either is NaN.
struct Max {
  static constexpr float first = -infinity;
  static F32x16 start() { return first; }
  static F32x16 join(F32x16 a, F32x16 b) { return select(is_nan(a), a, max(a, b)); }
  static float tree(F32x16 x) {
    return reduce_tree(x, [](float a, float b) { return a != a || a > b ? a : b; });
  }
};
struct Min {
  static constexpr float first = infinity;
  static F32x16 start() { return first; }
  static F32x16 join(F32x16 a, F32x16 b) { return select(is_nan(a), a, min(a, b)); }
  static float tree(F32x16 x) {
    return reduce_tree(x, [](float a, float b) { return a != a || a < b ? a : b; });
  }
};

void store_one(void* out, DType t, int64_t i, float x) {
  switch (t) {
    case DType::bf16:
      return F32x16(x).store(static_cast<bf16*>(out) + i, 1);
    case DType::f16:
      return F32x16(x).store(static_cast<f16*>(out) + i, 1);
    default:
      static_cast<float*>(out)[i] = x;
  }
}

template <class Lanes>
void store_as(F32x16 x, void* out, DType t, int64_t at, Lanes n) {
  switch (t) {
    case DType::bf16:
      return store(x, static_cast<bf16*>(out) + at, n);
    case DType::f16:
      return store(x, static_cast<f16*>(out) + at, n);
    default:
      return store(x, static_cast<float*>(out) + at, n);
  }
}

// Whether a candidate at a later place takes over: larger, or the first NaN.
template <class T>
bool takes_over(T candidate, T best) {
  return candidate > best || (candidate != candidate && best == best);
}

float to_float(bf16 x) {
  return float(x);
}
float to_float(float x) {
  return x;
}
float to_float(f16 x) {
  float lane[lanes];
  F32x16::load(&x, 1).store(lane);
  return lane[0];
}

template <class T>
int64_t place_of_largest(const T* x, int64_t n, int64_t step) {
  int64_t place = 0;
  float best = n > 0 ? to_float(x[0]) : 0.0f;
  for (int64_t i = 1; i < n; ++i) {
    const float v = to_float(x[i * step]);
    if (takes_over(v, best)) best = v, place = i;
  }
  return place;
}

// Contiguous: the largest value first, then where it is. Both passes run at the speed of memory.
template <class T>
int64_t place_of_largest(const T* x, int64_t n) {
  F32x16 largest = Max::start();
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) largest = Max::join(largest, F32x16::load(x + i));
  const int rest = int(n - i);
  if (rest)
    largest =
        Max::join(largest, select(first_lanes(rest), F32x16::load(x + i, rest), Max::start()));
  const float best = Max::tree(largest);
  i = 0;
  while (i + lanes <= n) {
    const F32x16 v = F32x16::load(x + i);
    if (((v == F32x16(best)) | is_nan(v)).any()) break;
    i += lanes;
  }
  for (; i < n; ++i) {
    const float v = to_float(x[i]);
    if (v != v || (v == best && best == best)) return i;
  }
  return 0;
}

}  // namespace
}  // namespace weft::kernels::cpu::WEFT_ISA
