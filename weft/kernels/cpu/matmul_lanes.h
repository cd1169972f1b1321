// The few shuffles a matrix product needs, per instruction set.
#pragma once
#include "weft/kernels/cpu/simd.h"

namespace weft::kernels::cpu::WEFT_ISA {

// 64 bytes.
inline void copy_line(const void* from, void* to) {
#if defined(__AVX512F__)
  _mm512_storeu_si512(to, _mm512_loadu_si512(from));
#else
  const __m256i* x = static_cast<const __m256i*>(from);
  __m256i* y = static_cast<__m256i*>(to);
  const __m256i low = _mm256_loadu_si256(x), high = _mm256_loadu_si256(x + 1);
  _mm256_storeu_si256(y, low), _mm256_storeu_si256(y + 1, high);
#endif
}

// Rows x and y of 32 bf16 become 32 pairs (x[i], y[i]): sixteen at `low`, sixteen at `high`.
inline void pair_up(const bf16* x, const bf16* y, bf16* low, bf16* high) {
#if defined(__AVX512F__)
  const __m512i even = _mm512_loadu_si512(x), odd = _mm512_loadu_si512(y);
  // Word i of lane pair: 0, 32, 1, 33, ... where 32 + i is word i of the second operand.
  const __m512i words = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40,
                                         8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  _mm512_storeu_si512(low, _mm512_permutex2var_epi16(even, words, odd));
  const __m512i upper = _mm512_add_epi16(words, _mm512_set1_epi16(16));
  _mm512_storeu_si512(high, _mm512_permutex2var_epi16(even, upper, odd));
#else
  for (int half = 0; half < 2; ++half) {
    const __m256i even = _mm256_loadu_si256((const __m256i*)(x + half * 16));
    const __m256i odd = _mm256_loadu_si256((const __m256i*)(y + half * 16));
    const __m256i a = _mm256_unpacklo_epi16(even, odd), b = _mm256_unpackhi_epi16(even, odd);
    __m256i* to = (__m256i*)(half ? high : low);
    _mm256_storeu_si256(to, _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(a, b, 0x31));
  }
#endif
}

#if defined(__AVX512F__)

// Rows i, i + apart, i + 2 apart and i + 3 apart of 16 bytes each, side by side. The last three are
// inserted on their way from memory, which needs no shuffle.
template <int apart>
inline __m512i load_four(const char* x, int64_t stride, int i) {
  const auto row = [&](int n) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + (i + n * apart) * stride));
  };
  __m512i four = _mm512_castsi128_si512(row(0));
  four = _mm512_inserti32x4(four, row(1), 1);
  four = _mm512_inserti32x4(four, row(2), 2);
  return _mm512_inserti32x4(four, row(3), 3);
}

// Transposes 16 x 16 words of 32 bits. Strides are in bytes.
inline void transpose_16x16(const void* from, int64_t from_stride, void* to, int64_t to_stride) {
  const char* x = static_cast<const char*>(from);
  char* y = static_cast<char*>(to);
#pragma GCC unroll 4
  for (int c = 0; c < 16; c += 4, x += 16, y += 4 * to_stride) {  // four columns
    __m512i r[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r[i] = load_four<4>(x, from_stride, i);
    const __m512i a = _mm512_unpacklo_epi32(r[0], r[1]), b = _mm512_unpackhi_epi32(r[0], r[1]);
    const __m512i d = _mm512_unpacklo_epi32(r[2], r[3]), e = _mm512_unpackhi_epi32(r[2], r[3]);
    _mm512_storeu_si512(y, _mm512_unpacklo_epi64(a, d));
    _mm512_storeu_si512(y + to_stride, _mm512_unpackhi_epi64(a, d));
    _mm512_storeu_si512(y + 2 * to_stride, _mm512_unpacklo_epi64(b, e));
    _mm512_storeu_si512(y + 3 * to_stride, _mm512_unpackhi_epi64(b, e));
  }
}

// Transposes 32 x 32 words of 16 bits. Strides are in bytes.
inline void transpose_32x32(const void* from, int64_t from_stride, void* to, int64_t to_stride) {
  const char* x = static_cast<const char*>(from);
  char* y = static_cast<char*>(to);
#pragma GCC unroll 4
  for (int c = 0; c < 32; c += 8, x += 16, y += 8 * to_stride) {  // eight columns
    __m512i r[8], t[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) r[i] = load_four<8>(x, from_stride, i);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
      t[i] = _mm512_unpacklo_epi16(r[i], r[i + 1]);
      t[i + 1] = _mm512_unpackhi_epi16(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {  // r[i + c]: columns 2 c and 2 c + 1 of four rows
      r[i] = _mm512_unpacklo_epi32(t[i], t[i + 2]);
      r[i + 1] = _mm512_unpackhi_epi32(t[i], t[i + 2]);
      r[i + 2] = _mm512_unpacklo_epi32(t[i + 1], t[i + 3]);
      r[i + 3] = _mm512_unpackhi_epi32(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      _mm512_storeu_si512(y + 2 * i * to_stride, _mm512_unpacklo_epi64(r[i], r[i + 4]));
      _mm512_storeu_si512(y + (2 * i + 1) * to_stride, _mm512_unpackhi_epi64(r[i], r[i + 4]));
    }
  }
}

#else

inline void transpose_8x8(const char* x, int64_t from_stride, char* y, int64_t to_stride) {
  __m256 r[8], t[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps((const float*)(x + i * from_stride));
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps((float*)(y + c * to_stride), _mm256_permute2f128_ps(r[c], r[c + 4], 0x20));
    _mm256_storeu_ps((float*)(y + (c + 4) * to_stride),
                     _mm256_permute2f128_ps(r[c], r[c + 4], 0x31));
  }
}
inline void transpose_16x16(const void* from, int64_t from_stride, void* to, int64_t to_stride) {
  const char* x = static_cast<const char*>(from);
  char* y = static_cast<char*>(to);
  for (int i = 0; i < 16; i += 8)
    for (int j = 0; j < 16; j += 8)
      transpose_8x8(x + i * from_stride + j * 4, from_stride, y + j * to_stride + i * 4, to_stride);
}

// Transposes 32 x 32 words of 16 bits. Strides are in bytes.
inline void transpose_32x32(const void* from, int64_t from_stride, void* to, int64_t to_stride) {
  const auto row = [&](int r) {
    return reinterpret_cast<const bf16*>(static_cast<const char*>(from) + r * from_stride);
  };
  char* y = static_cast<char*>(to);
  alignas(64) bf16 pairs[2][512];  // rows 2 r and 2 r + 1 of sixteen columns
  for (int r = 0; r < 16; ++r)
    pair_up(row(2 * r), row(2 * r + 1), pairs[0] + r * 32, pairs[1] + r * 32);
  transpose_16x16(pairs[0], 64, y, to_stride);
  transpose_16x16(pairs[1], 64, y + 16 * to_stride, to_stride);
}

#endif

}  // namespace weft::kernels::cpu::WEFT_ISA
