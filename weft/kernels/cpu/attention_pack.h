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

// As many rows as a line has elements, a line of each, transposed; strides in elements.
inline void transpose_square(const bf16* from, int64_t from_stride, bf16* to, int64_t to_stride) {
  transpose_32x32(from, 2 * from_stride, to, 2 * to_stride);
}
inline void transpose_square(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  transpose_16x16(from, 4 * from_stride, to, 4 * to_stride);
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
  constexpr int line = 64 / int(sizeof(T));
  rows = padded(rows, 16, depth, staging);
  for (int i = 0; i < depth; i += line)
    transpose_16x16(rows.data + i, rows.stride * int64_t(sizeof(T)), to + i * 16, 64);
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
WEFT_INLINE inline void store_scaled(const float* from, F32x16 factor, T* to, int width) {
  int i = 0;
  for (; i + 32 <= width; i += 32)
    store_rounded(F32x16::load(from + i) * factor, F32x16::load(from + i + 16) * factor, to + i);
  for (; i < width; i += 16) {
    const F32x16 x = F32x16::load(from + i) * factor;
    x.store(to + i, width - i < 16 ? width - i : 16);
  }
}

}  // namespace weft::kernels::cpu::WEFT_ISA
