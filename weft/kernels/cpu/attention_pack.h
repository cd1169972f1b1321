// Laying rows of q, k and v out for attention_product.h. Widths are padded with zeros to `depth`, a
// multiple of 32; rows past the last are zeros.
#pragma once
#include "weft/kernels/attention.h"
#include "weft/kernels/cpu/attention_math.h"
#include "weft/kernels/cpu/matmul_lanes.h"

namespace weft::kernels::cpu::WEFT_ISA {

// `count` rows of `width` elements in the caller's arrays.
template <class T>
struct Rows {
  const T* data;
  int64_t stride;
  int count, width;

  Rows from(int row) const {
    const int left = count - row;
    return {data + row * stride, stride, left < 0 ? 0 : left, width};
  }
};

// Into the cache: the first n rows, or as many as there are.
template <class T>
WEFT_INLINE inline void fetch(Rows<T> rows, int n) {
  for (int r = 0; r < n && r < rows.count; ++r)
    for (int i = 0; i < rows.width; i += 64 / int(sizeof(T)))
      _mm_prefetch(reinterpret_cast<const char*>(rows.data + r * rows.stride + i), _MM_HINT_T0);
}

// The first rows of what comes next, asked for a few at a time: prefetches in a burst would wait
// for memory themselves.
template <class T, int arrays>
struct RowsAhead {
  Rows<T> rows[arrays] = {};
  int at = 0;

  WEFT_INLINE void fetch_some() {
    if (at >= 64) return;
    for (const Rows<T>& r : rows) fetch(r.from(at), 16);
    at += 16;
  }
};

// [16][16] of 32-bit words, transposed; strides in words.
#if defined(__AVX512F__)
inline void transpose16(const uint32_t* from, int64_t from_stride, uint32_t* to,
                        int64_t to_stride) {
  __m512i r[16], t[16];
  WEFT_UNROLL for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(from + i * from_stride);
  WEFT_UNROLL for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  WEFT_UNROLL for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  WEFT_UNROLL for (int i = 0; i < 4; ++i) {  // rows i, i + 4, i + 8, i + 12 of quarters of columns
    const __m512i a = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    const __m512i c = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    const __m512i d = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    _mm512_storeu_si512(to + i * to_stride, _mm512_shuffle_i32x4(a, c, 0x88));
    _mm512_storeu_si512(to + (i + 4) * to_stride, _mm512_shuffle_i32x4(b, d, 0x88));
    _mm512_storeu_si512(to + (i + 8) * to_stride, _mm512_shuffle_i32x4(a, c, 0xdd));
    _mm512_storeu_si512(to + (i + 12) * to_stride, _mm512_shuffle_i32x4(b, d, 0xdd));
  }
}
#else
inline void transpose8(const uint32_t* from, int64_t from_stride, uint32_t* to, int64_t to_stride) {
  __m256 r[8], t[8];
  WEFT_UNROLL for (int i = 0; i < 8; ++i) {
    r[i] = _mm256_loadu_ps(reinterpret_cast<const float*>(from + i * from_stride));
  }
  WEFT_UNROLL for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  WEFT_UNROLL for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  WEFT_UNROLL for (int i = 0; i < 4; ++i) {
    float* row = reinterpret_cast<float*>(to + i * to_stride);
    _mm256_storeu_ps(row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(row + 4 * to_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}
inline void transpose16(const uint32_t* from, int64_t from_stride, uint32_t* to,
                        int64_t to_stride) {
  for (int i = 0; i < 16; i += 8)
    for (int j = 0; j < 16; j += 8)
      transpose8(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
}
#endif

// The same over elements of any type; a word of bf16 is a pair.
template <class From, class To>
WEFT_INLINE inline void transpose_words(const From* from, int64_t from_stride, To* to,
                                        int64_t to_stride) {
  constexpr int from_width = pair_width<From>, to_width = pair_width<To>;
  static_assert(from_width == to_width);
  uint32_t words[16 * 16];
  if (from_stride % from_width == 0 && to_stride % to_width == 0) {
    transpose16(reinterpret_cast<const uint32_t*>(from), from_stride / from_width,
                reinterpret_cast<uint32_t*>(to), to_stride / to_width);
    return;
  }
  for (int r = 0; r < 16; ++r) std::memcpy(words + r * 16, from + r * from_stride, 64);
  transpose16(words, 16, reinterpret_cast<uint32_t*>(to), to_stride / to_width);
}

// Rows [0, n) as they are where nothing needs padding, else a padded copy in `staging`
// [n][depth].
template <class T>
Rows<T> padded(Rows<T> rows, int n, int depth, T* staging) {
  if (rows.count >= n && rows.width == depth) return rows;
  const int count = rows.count < n ? rows.count : n;
  std::memset(static_cast<void*>(staging), 0, size_t(n) * size_t(depth) * sizeof(T));
  for (int r = 0; r < count; ++r)
    std::memcpy(static_cast<void*>(staging + r * depth), rows.data + r * rows.stride,
                size_t(rows.width) * sizeof(T));
  return {staging, depth, n, depth};
}

// B with the rows as its columns and their elements as its k: 16 rows to [depth / w][16][w].
template <class T>
void pack_columns16(Rows<T> rows, int depth, T* to, T* staging) {
  constexpr int word = 16 * pair_width<T>;
  rows = padded(rows, 16, depth, staging);
  for (int i = 0; i < depth; i += word)
    transpose_words(rows.data + i, rows.stride, to + i * 16, int64_t{word});
}

// B with the rows as its k and their elements as its columns: 64 rows to [depth / 16][64 /
// w][16][w].
inline void pack_rows64(Rows<bf16> rows, int depth, bf16* to, bf16* staging) {
  rows = padded(rows, 64, depth, staging);
  for (int r = 0; r < 64; r += 2)
    for (int i = 0; i < depth; i += 32)
      pair_up(rows.data + r * rows.stride + i, rows.data + (r + 1) * rows.stride + i,
              to + i * 64 + r * 16, to + (i + 16) * 64 + r * 16);
}
inline void pack_rows64(Rows<float> rows, int depth, float* to, float* staging) {
  rows = padded(rows, 64, depth, staging);
  for (int r = 0; r < 64; ++r)
    for (int i = 0; i < depth; i += 16)
      F32x16::load(rows.data + r * rows.stride + i).store(to + i * 64 + r * 16);
}

// A row of A: `width` elements, zeros up to depth.
template <class T>
WEFT_INLINE inline void copy_padded(const T* from, int width, int depth, T* to) {
  constexpr int line = 64 / int(sizeof(T));
  if (width == depth && depth % line == 0) {
    for (int i = 0; i < depth; i += line) std::memcpy(static_cast<void*>(to + i), from + i, 64);
    return;
  }
  std::memcpy(static_cast<void*>(to), from, size_t(width) * sizeof(T));
  std::memset(static_cast<void*>(to + width), 0, size_t(depth - width) * sizeof(T));
}

// The sums of 16 rows of 16, each in the order of sum_lanes().
inline F32x16 sum_rows16(const float* rows) {
#if defined(__AVX512F__)
  __m512 eight[8], four[4], two[2];
  WEFT_UNROLL for (int i = 0; i < 8; ++i) {  // rows i and i + 4 of the first or last eight
    const float* row = rows + (i / 4 * 8 + i % 4) * 16;
    const __m512 a = _mm512_loadu_ps(row), b = _mm512_loadu_ps(row + 4 * 16);
    eight[i] = _mm512_shuffle_f32x4(a, b, 0x44) + _mm512_shuffle_f32x4(a, b, 0xee);
  }
  WEFT_UNROLL for (int i = 0; i < 4; ++i) {  // rows i, i + 4, i + 8, i + 12
    const __m512 a = eight[i], b = eight[i + 4];
    four[i] = _mm512_shuffle_f32x4(a, b, 0x88) + _mm512_shuffle_f32x4(a, b, 0xdd);
  }
  WEFT_UNROLL for (int i = 0; i < 2; ++i) {
    const __m512 a = four[i * 2], b = four[i * 2 + 1];
    two[i] = _mm512_shuffle_ps(a, b, 0x44) + _mm512_shuffle_ps(a, b, 0xee);
  }
  return _mm512_shuffle_ps(two[0], two[1], 0x88) + _mm512_shuffle_ps(two[0], two[1], 0xdd);
#else
  float sums[16];
  for (int r = 0; r < 16; ++r) sums[r] = sum_lanes(F32x16::load(rows + r * 16));
  return F32x16::load(sums);
#endif
}

// A row of f32 sums, times `factor`, to a row of the caller's array.
template <class T>
void store_scaled(const float* from, F32x16 factor, T* to, int width) {
  for (int i = 0; i < width; i += 16) {
    const F32x16 x = F32x16::load(from + i) * factor;
    if (width - i >= 16)
      x.store(to + i);
    else
      x.store(to + i, width - i);
  }
}

}  // namespace weft::kernels::cpu::WEFT_ISA
