// Sixteen f32 lanes, the same lanes and the same bits on AVX2 (two registers) and AVX-512 (one). Only files of
// kernels/cpu include this; it lives in the namespace of the instruction set being compiled, so that no inline
// function of one set is ever linked into another.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "weft/tensor/dtype.h"

#if defined(__clang__)
#define WEFT_UNROLL _Pragma("unroll")
#else
#define WEFT_UNROLL _Pragma("GCC unroll 16")
#endif

namespace weft::kernels::cpu::WEFT_ISA {

constexpr int lanes = 16;

#if defined(__AVX512F__)

struct Mask16 {
  __mmask16 m;
  Mask16 operator&(Mask16 o) const { return {__mmask16(m & o.m)}; }
  Mask16 operator|(Mask16 o) const { return {__mmask16(m | o.m)}; }
  Mask16 operator~() const { return {__mmask16(~m)}; }
  bool any() const { return m != 0; }
};
inline Mask16 first_lanes(int n) { return {__mmask16(n >= 16 ? 0xffffu : (1u << n) - 1u)}; }

struct F32x16 {
  __m512 v;
  F32x16() = default;  // F32x16() and = {} are zeros; declared without, the lanes are anything
  F32x16(__m512 x) : v(x) {}
  F32x16(float x) : v(_mm512_set1_ps(x)) {}
  static F32x16 load(const float* p) { return _mm512_loadu_ps(p); }
  static F32x16 load(const float* p, int n) { return _mm512_maskz_loadu_ps(first_lanes(n).m, p); }
  static F32x16 load(const bf16* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
  }
  static F32x16 load(const bf16* p, int n) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_lanes(n).m, p)), 16));
  }
  static F32x16 load(const f16* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
  static F32x16 load(const f16* p, int n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n).m, p)); }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store(float* p, int n) const { _mm512_mask_storeu_ps(p, first_lanes(n).m, v); }
  __m256i bf16_bits() const {
#if defined(__AVX512BF16__)
    return (__m256i)_mm512_cvtneps_pbh(v);
#else
    const __m512i u = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    const __m512i top = _mm512_srli_epi32(u, 16);
    r = _mm512_mask_and_epi32(r, _mm512_testn_epi32_mask(u, _mm512_set1_epi32(0x7f800000)), top, _mm512_set1_epi32(0x8000));
    r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), top, _mm512_set1_epi32(0x40));
    return _mm512_cvtepi32_epi16(r);
#endif
  }
  F32x16 rounded_to_bf16() const {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16_bits()), 16));
  }
  void store(bf16* p) const { _mm256_storeu_si256((__m256i*)p, bf16_bits()); }
  void store(bf16* p, int n) const { _mm256_mask_storeu_epi16(p, first_lanes(n).m, bf16_bits()); }
  __m256i f16_bits() const { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  void store(f16* p) const { _mm256_storeu_si256((__m256i*)p, f16_bits()); }
  void store(f16* p, int n) const { _mm256_mask_storeu_epi16(p, first_lanes(n).m, f16_bits()); }
};
inline F32x16 operator+(F32x16 a, F32x16 b) { return _mm512_add_ps(a.v, b.v); }
inline F32x16 operator-(F32x16 a, F32x16 b) { return _mm512_sub_ps(a.v, b.v); }
inline F32x16 operator*(F32x16 a, F32x16 b) { return _mm512_mul_ps(a.v, b.v); }
inline F32x16 operator/(F32x16 a, F32x16 b) { return _mm512_div_ps(a.v, b.v); }
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return _mm512_fmadd_ps(a.v, b.v, c.v); }    // a b + c
inline F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) { return _mm512_fnmadd_ps(a.v, b.v, c.v); }  // c - a b
// As in x86: the second operand when either is NaN.
inline F32x16 max(F32x16 a, F32x16 b) { return _mm512_max_ps(a.v, b.v); }
inline F32x16 min(F32x16 a, F32x16 b) { return _mm512_min_ps(a.v, b.v); }
inline F32x16 sqrt(F32x16 a) { return _mm512_sqrt_ps(a.v); }
inline F32x16 round(F32x16 a) { return _mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline F32x16 floor(F32x16 a) { return _mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
inline F32x16 abs(F32x16 a) { return _mm512_abs_ps(a.v); }
inline F32x16 bit_and(F32x16 a, F32x16 b) { return _mm512_and_ps(a.v, b.v); }
inline F32x16 bit_or(F32x16 a, F32x16 b) { return _mm512_or_ps(a.v, b.v); }
inline F32x16 bit_xor(F32x16 a, F32x16 b) { return _mm512_xor_ps(a.v, b.v); }
// x with the mantissa of `from`.
inline F32x16 with_mantissa(F32x16 x, F32x16 from) {
  const __m512i mask = _mm512_set1_epi32(0x7fffff);
  return _mm512_castsi512_ps(
      _mm512_ternarylogic_epi32(mask, _mm512_castps_si512(from.v), _mm512_castps_si512(x.v), 0xca));
}
inline Mask16 operator<(F32x16 a, F32x16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask16 operator<=(F32x16 a, F32x16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
inline Mask16 operator==(F32x16 a, F32x16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
inline Mask16 is_nan(F32x16 a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }
inline F32x16 select(Mask16 m, F32x16 yes, F32x16 no) { return _mm512_mask_blend_ps(m.m, no.v, yes.v); }

struct I32x16 {
  __m512i v;
  I32x16(__m512i x) : v(x) {}
  I32x16(int32_t x) : v(_mm512_set1_epi32(x)) {}
  static I32x16 load(const int32_t* p) { return _mm512_loadu_si512(p); }
  void store(int32_t* p) const { _mm512_storeu_si512(p, v); }
};
inline I32x16 operator+(I32x16 a, I32x16 b) { return _mm512_add_epi32(a.v, b.v); }
inline I32x16 operator-(I32x16 a, I32x16 b) { return _mm512_sub_epi32(a.v, b.v); }
inline I32x16 operator&(I32x16 a, I32x16 b) { return _mm512_and_si512(a.v, b.v); }
inline I32x16 operator|(I32x16 a, I32x16 b) { return _mm512_or_si512(a.v, b.v); }
template <int n> I32x16 shift_left(I32x16 a) { return _mm512_slli_epi32(a.v, n); }
template <int n> I32x16 shift_right(I32x16 a) { return _mm512_srai_epi32(a.v, n); }
inline I32x16 to_int(F32x16 a) { return _mm512_cvtps_epi32(a.v); }  // to nearest
inline F32x16 to_float(I32x16 a) { return _mm512_cvtepi32_ps(a.v); }
inline F32x16 as_float(I32x16 a) { return _mm512_castsi512_ps(a.v); }
inline I32x16 as_int(F32x16 a) { return _mm512_castps_si512(a.v); }

#else  // AVX2 and FMA: the same sixteen lanes in two registers

struct Mask16 {
  __m256 a, b;  // all ones or all zeros per lane
  Mask16 operator&(Mask16 o) const { return {_mm256_and_ps(a, o.a), _mm256_and_ps(b, o.b)}; }
  Mask16 operator|(Mask16 o) const { return {_mm256_or_ps(a, o.a), _mm256_or_ps(b, o.b)}; }
  Mask16 operator~() const {
    const __m256 ones = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    return {_mm256_xor_ps(a, ones), _mm256_xor_ps(b, ones)};
  }
  bool any() const { return (_mm256_movemask_ps(a) | _mm256_movemask_ps(b)) != 0; }
};
inline Mask16 first_lanes(int n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane)),
          _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8), lane))};
}

struct F32x16 {
  __m256 a, b;
  F32x16() = default;
  F32x16(__m256 x, __m256 y) : a(x), b(y) {}
  F32x16(float x) : a(_mm256_set1_ps(x)), b(a) {}
  static F32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static F32x16 load(const float* p, int n) {
    float t[16] = {};
    std::memcpy(t, p, size_t(n < 16 ? n : 16) * 4);
    return load(t);
  }
  static __m256 widen(__m128i x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16)); }
  static F32x16 load(const bf16* p) {
    return {widen(_mm_loadu_si128((const __m128i*)p)), widen(_mm_loadu_si128((const __m128i*)(p + 8)))};
  }
  static F32x16 load(const bf16* p, int n) { return load_some(p, n); }
  static F32x16 load(const f16* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)), _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p + 8)))};
  }
  static F32x16 load(const f16* p, int n) { return load_some(p, n); }
  void store(float* p) const { _mm256_storeu_ps(p, a), _mm256_storeu_ps(p + 8, b); }
  void store(float* p, int n) const { store_some(p, n); }
  static __m256i round_half(__m256 x) {
    const __m256i u = _mm256_castps_si256(x), top = _mm256_srli_epi32(u, 16);
    const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
    __m256i r = _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    const __m256i tiny = _mm256_cmpeq_epi32(_mm256_and_si256(u, _mm256_set1_epi32(0x7f800000)), _mm256_setzero_si256());
    r = _mm256_blendv_epi8(r, _mm256_and_si256(top, _mm256_set1_epi32(0x8000)), tiny);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(r, _mm256_or_si256(top, _mm256_set1_epi32(0x40)), nan);
  }
  __m256i bf16_bits() const {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(round_half(a), round_half(b)), 0xd8);
  }
  F32x16 rounded_to_bf16() const {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(round_half(a), 16)),
            _mm256_castsi256_ps(_mm256_slli_epi32(round_half(b), 16))};
  }
  void store(bf16* p) const { _mm256_storeu_si256((__m256i*)p, bf16_bits()); }
  void store(bf16* p, int n) const { store_some(p, n); }
  void store(f16* p) const {
    _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i*)(p + 8), _mm256_cvtps_ph(b, _MM_FROUND_TO_NEAREST_INT));
  }
  void store(f16* p, int n) const { store_some(p, n); }

 private:
  template <class T>
  static F32x16 load_some(const T* p, int n) {
    T t[16] = {};
    std::memcpy(static_cast<void*>(t), p, size_t(n < 16 ? n : 16) * sizeof(T));
    return load(t);
  }
  template <class T>
  void store_some(T* p, int n) const {
    T t[16];
    store(t);
    std::memcpy(static_cast<void*>(p), t, size_t(n < 16 ? n : 16) * sizeof(T));
  }
};
#define WEFT_EACH(expression_a, expression_b) return F32x16(expression_a, expression_b)
inline F32x16 operator+(F32x16 x, F32x16 y) { WEFT_EACH(_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)); }
inline F32x16 operator-(F32x16 x, F32x16 y) { WEFT_EACH(_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)); }
inline F32x16 operator*(F32x16 x, F32x16 y) { WEFT_EACH(_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)); }
inline F32x16 operator/(F32x16 x, F32x16 y) { WEFT_EACH(_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)); }
inline F32x16 fma(F32x16 x, F32x16 y, F32x16 z) { WEFT_EACH(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)); }
inline F32x16 fnma(F32x16 x, F32x16 y, F32x16 z) { WEFT_EACH(_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)); }
inline F32x16 max(F32x16 x, F32x16 y) { WEFT_EACH(_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)); }
inline F32x16 min(F32x16 x, F32x16 y) { WEFT_EACH(_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)); }
inline F32x16 sqrt(F32x16 x) { WEFT_EACH(_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)); }
inline F32x16 round(F32x16 x) { WEFT_EACH(_mm256_round_ps(x.a, 8), _mm256_round_ps(x.b, 8)); }
inline F32x16 floor(F32x16 x) { WEFT_EACH(_mm256_round_ps(x.a, 9), _mm256_round_ps(x.b, 9)); }
inline F32x16 bit_and(F32x16 x, F32x16 y) { WEFT_EACH(_mm256_and_ps(x.a, y.a), _mm256_and_ps(x.b, y.b)); }
inline F32x16 bit_or(F32x16 x, F32x16 y) { WEFT_EACH(_mm256_or_ps(x.a, y.a), _mm256_or_ps(x.b, y.b)); }
inline F32x16 bit_xor(F32x16 x, F32x16 y) { WEFT_EACH(_mm256_xor_ps(x.a, y.a), _mm256_xor_ps(x.b, y.b)); }
#undef WEFT_EACH
inline Mask16 operator<(F32x16 x, F32x16 y) { return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)}; }
inline Mask16 operator<=(F32x16 x, F32x16 y) { return {_mm256_cmp_ps(x.a, y.a, _CMP_LE_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LE_OQ)}; }
inline Mask16 operator==(F32x16 x, F32x16 y) { return {_mm256_cmp_ps(x.a, y.a, _CMP_EQ_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_EQ_OQ)}; }
inline Mask16 is_nan(F32x16 x) { return {_mm256_cmp_ps(x.a, x.a, _CMP_UNORD_Q), _mm256_cmp_ps(x.b, x.b, _CMP_UNORD_Q)}; }
inline F32x16 select(Mask16 m, F32x16 yes, F32x16 no) {
  return {_mm256_blendv_ps(no.a, yes.a, m.a), _mm256_blendv_ps(no.b, yes.b, m.b)};
}

struct I32x16 {
  __m256i a, b;
  I32x16(__m256i x, __m256i y) : a(x), b(y) {}
  I32x16(int32_t x) : a(_mm256_set1_epi32(x)), b(a) {}
  static I32x16 load(const int32_t* p) {
    return {_mm256_loadu_si256((const __m256i*)p), _mm256_loadu_si256((const __m256i*)(p + 8))};
  }
  void store(int32_t* p) const { _mm256_storeu_si256((__m256i*)p, a), _mm256_storeu_si256((__m256i*)(p + 8), b); }
};
inline I32x16 operator+(I32x16 x, I32x16 y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
inline I32x16 operator-(I32x16 x, I32x16 y) { return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)}; }
inline I32x16 operator&(I32x16 x, I32x16 y) { return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)}; }
inline I32x16 operator|(I32x16 x, I32x16 y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
template <int n> I32x16 shift_left(I32x16 x) { return {_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)}; }
template <int n> I32x16 shift_right(I32x16 x) { return {_mm256_srai_epi32(x.a, n), _mm256_srai_epi32(x.b, n)}; }
inline I32x16 to_int(F32x16 x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
inline F32x16 to_float(I32x16 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline F32x16 as_float(I32x16 x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
inline I32x16 as_int(F32x16 x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
inline F32x16 abs(F32x16 x) { return bit_and(x, as_float(I32x16(0x7fffffff))); }
inline F32x16 with_mantissa(F32x16 x, F32x16 from) {
  const I32x16 mask = 0x7fffff, others = ~0x7fffff;
  return as_float((as_int(x) & others) | (as_int(from) & mask));
}

#endif

inline F32x16& operator+=(F32x16& a, F32x16 b) { return a = a + b; }

// The value as an array of T would hold it.
inline F32x16 round_to(F32x16 v, const float*) { return v; }
inline F32x16 round_to(F32x16 v, const bf16*) { return v.rounded_to_bf16(); }
inline F32x16 operator-(F32x16 a) { return bit_xor(a, F32x16(-0.0f)); }

// The one tree that joins sixteen partial results: lane i with i + 8, then + 4, + 2, + 1.
template <class Join>
inline float reduce_tree(F32x16 x, Join join) {
  float t[16];
  x.store(t);
  for (int width = 8; width; width /= 2)
    for (int i = 0; i < width; ++i) t[i] = join(t[i], t[i + width]);
  return t[0];
}
inline float reduce_add(F32x16 x) {
  return reduce_tree(x, [](float a, float b) { return a + b; });
}
inline float reduce_max(F32x16 x) {
  return reduce_tree(x, [](float a, float b) { return a > b ? a : b; });
}

}  // namespace weft::kernels::cpu::WEFT_ISA
