// out[r * out_stride + c] = in[c * in_stride + r], in tiles of 8 x 8 that are turned in registers
// where elements have 2 or 4 bytes.
#pragma once
#include <cstdint>
#include <immintrin.h>

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

constexpr int tile = 8;

template <class T>
void transpose_tile(const T* in, T* out, int64_t in_stride, int64_t out_stride) {
  for (int r = 0; r < tile; ++r)
    for (int c = 0; c < tile; ++c) out[r * out_stride + c] = in[c * in_stride + r];
}

// Pairs of rows, then of pairs, then of quadruples are interleaved.
void transpose_tile(const uint16_t* in, uint16_t* out, int64_t in_stride, int64_t out_stride) {
  __m128i a[tile], b[tile];
  for (int i = 0; i < tile; ++i) a[i] = _mm_loadu_si128((const __m128i*)(in + i * in_stride));
  for (int i = 0; i < 4; ++i) {
    b[i] = _mm_unpacklo_epi16(a[2 * i], a[2 * i + 1]);
    b[i + 4] = _mm_unpackhi_epi16(a[2 * i], a[2 * i + 1]);
  }
  for (int half = 0; half < 8; half += 4) {  // rows 0 to 3, rows 4 to 7
    const __m128i lo0 = _mm_unpacklo_epi32(b[half], b[half + 1]),
                  hi0 = _mm_unpackhi_epi32(b[half], b[half + 1]);
    const __m128i lo1 = _mm_unpacklo_epi32(b[half + 2], b[half + 3]),
                  hi1 = _mm_unpackhi_epi32(b[half + 2], b[half + 3]);
    const __m128i rows[4] = {_mm_unpacklo_epi64(lo0, lo1), _mm_unpackhi_epi64(lo0, lo1),
                             _mm_unpacklo_epi64(hi0, hi1), _mm_unpackhi_epi64(hi0, hi1)};
    for (int i = 0; i < 4; ++i)
      _mm_storeu_si128((__m128i*)(out + (half + i) * out_stride), rows[i]);
  }
}

void transpose_tile(const uint32_t* in, uint32_t* out, int64_t in_stride, int64_t out_stride) {
  __m256i a[tile], b[tile];
  for (int i = 0; i < tile; ++i) a[i] = _mm256_loadu_si256((const __m256i*)(in + i * in_stride));
  for (int i = 0; i < 8; i += 4) {
    const __m256i lo0 = _mm256_unpacklo_epi32(a[i], a[i + 1]),
                  hi0 = _mm256_unpackhi_epi32(a[i], a[i + 1]);
    const __m256i lo1 = _mm256_unpacklo_epi32(a[i + 2], a[i + 3]),
                  hi1 = _mm256_unpackhi_epi32(a[i + 2], a[i + 3]);
    b[i] = _mm256_unpacklo_epi64(lo0, lo1), b[i + 1] = _mm256_unpackhi_epi64(lo0, lo1);
    b[i + 2] = _mm256_unpacklo_epi64(hi0, hi1), b[i + 3] = _mm256_unpackhi_epi64(hi0, hi1);
  }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_si256((__m256i*)(out + i * out_stride),
                        _mm256_permute2x128_si256(b[i], b[i + 4], 0x20));
    _mm256_storeu_si256((__m256i*)(out + (i + 4) * out_stride),
                        _mm256_permute2x128_si256(b[i], b[i + 4], 0x31));
  }
}

template <class T>
void transpose(const T* in, T* out, int64_t rows, int64_t columns, int64_t in_stride,
               int64_t out_stride) {
  const int64_t whole_rows = rows / tile * tile, whole_columns = columns / tile * tile;
  for (int64_t r = 0; r < whole_rows; r += tile)
    for (int64_t c = 0; c < whole_columns; c += tile)
      transpose_tile(in + c * in_stride + r, out + r * out_stride + c, in_stride, out_stride);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c)
      out[r * out_stride + c] = in[c * in_stride + r];
}

}  // namespace
}  // namespace weft::kernels::cpu::WEFT_ISA
