// Walking a row sixteen elements at a time, shared by the kernels that reduce over a row.
#pragma once
#include "weft/kernels/cpu/simd.h"
#include "weft/kernels/kernel.h"

#define WEFT_INLINE __attribute__((always_inline))

namespace weft::kernels::cpu::WEFT_ISA {

// How many lanes of a step are elements: all sixteen (known when compiled) or the first n.
struct AllLanes {};

template <class T>
WEFT_INLINE inline F32x16 load(const T* p, AllLanes) {
  return F32x16::load(p);
}
template <class T>
WEFT_INLINE inline F32x16 load(const T* p, int n) {
  return F32x16::load(p, n);
}
template <class T>
WEFT_INLINE inline void store(F32x16 v, T* p, AllLanes) {
  v.store(p);
}
template <class T>
WEFT_INLINE inline void store(F32x16 v, T* p, int n) {
  v.store(p, n);
}

// Lanes past the row become `other`.
WEFT_INLINE inline F32x16 keep(F32x16 v, AllLanes, float = 0) {
  return v;
}
WEFT_INLINE inline F32x16 keep(F32x16 v, int n, float other = 0) {
  return select(first_lanes(n), v, F32x16(other));
}

// f(i, AllLanes) for each whole step of [0, width), then f(i, n) for the n elements that are left.
template <class F>
WEFT_INLINE inline void each_step(int64_t width, F&& f) {
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) f(i, AllLanes{});
  if (i < width) f(i, int(width - i));
}

// The tree of simd.h (lane i with i + 8, then + 4, + 2, + 1) without leaving the registers.
WEFT_INLINE inline __m256 low_lanes(F32x16 v) {
#if defined(__AVX512F__)
  return _mm512_castps512_ps256(v.v);
#else
  return v.a;
#endif
}
WEFT_INLINE inline __m256 high_lanes(F32x16 v) {
#if defined(__AVX512F__)
  return _mm512_extractf32x8_ps(v.v, 1);
#else
  return v.b;
#endif
}
WEFT_INLINE inline float sum_lanes(F32x16 v) {
  const __m256 eight = _mm256_add_ps(low_lanes(v), high_lanes(v));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
WEFT_INLINE inline float max_lanes(F32x16 v) {
  const __m256 eight = _mm256_max_ps(low_lanes(v), high_lanes(v));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace weft::kernels::cpu::WEFT_ISA
