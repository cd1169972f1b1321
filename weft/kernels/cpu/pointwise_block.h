// Moves blocks of rows x columns elements between memory of any dtype and stride and a value
// (packed 4-byte lanes: f32, also for bf16, f16 and booleans, which are 0 and 1; or int32).
#pragma once
#include "weft/kernels/cpu/simd.h"
#include "weft/kernels/pointwise.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

struct BlockShape {
  int rows, columns;
  int count() const { return rows * columns; }
};

// An int32 is held as its bits.
float as_lane(int32_t x) {
  float lane;
  std::memcpy(&lane, &x, 4);
  return lane;
}
int32_t as_whole(float lane) {
  int32_t x;
  std::memcpy(&x, &lane, 4);
  return x;
}

template <class T>
float to_lane(T x) {
  return float(x);
}
float to_lane(bool x) {
  return x ? 1.0f : 0.0f;
}
float to_lane(int32_t x) {
  return as_lane(x);
}

template <class T>
void from_lane(float lane, T& x) {
  F32x16(lane).store(&x, 1);
}
void from_lane(float lane, bool& x) {
  x = lane != 0;
}
void from_lane(float lane, int32_t& x) {
  x = as_whole(lane);
}

template <class T>
void load_run(float* out, const T* in, int n) {
  int i = 0;
  for (; i + lanes <= n; i += lanes) F32x16::load(in + i).store(out + i);
  if (i < n) F32x16::load(in + i, n - i).store(out + i, n - i);
}
void load_run(float* out, const bool* in, int n) {
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(in + i)));
    _mm256_storeu_ps(out + i, _mm256_cvtepi32_ps(x));
  }
  for (; i < n; ++i) out[i] = to_lane(in[i]);
}
void load_run(float* out, const int32_t* in, int n) {
  std::memcpy(out, in, size_t(n) * 4);
}

template <class T>
void store_run(T* out, const float* in, int n) {
  int i = 0;
  for (; i + lanes <= n; i += lanes) F32x16::load(in + i).store(out + i);
  if (i < n) F32x16::load(in + i, n - i).store(out + i, n - i);
}
// The lanes have been rounded to bf16 already: their upper halves are all there is.
void store_run(bf16* out, const float* in, int n) {
  int i = 0;
  for (; i + lanes <= n; i += lanes) {
    const __m256i a = _mm256_srli_epi32(_mm256_loadu_si256((const __m256i*)(in + i)), 16);
    const __m256i b = _mm256_srli_epi32(_mm256_loadu_si256((const __m256i*)(in + i + 8)), 16);
    const __m256i halves = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
    _mm256_storeu_si256((__m256i*)(out + i), halves);
  }
  if (i < n) F32x16::load(in + i, n - i).store(out + i, n - i);
}
void store_run(bool* out, const float* in, int n) {
  int i = 0;
  for (; i + 8 <= n; i += 8) {  // 0 or 1
    const __m256i x = _mm256_cvtps_epi32(_mm256_loadu_ps(in + i));
    const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64((__m128i*)(out + i), _mm_packs_epi16(half, half));
  }
  for (; i < n; ++i) out[i] = in[i] != 0;
}
void store_run(int32_t* out, const float* in, int n) {
  std::memcpy(out, in, size_t(n) * 4);
}

template <class T>
void load_rows(float* out, const void* from, BlockShape shape, int64_t row_stride, int64_t stride) {
  const T* in = static_cast<const T*>(from);
  if (stride == 1 && row_stride == shape.columns) shape = {1, shape.count()};
  for (int r = 0; r < shape.rows; ++r, out += shape.columns, in += row_stride) {
    const float first = to_lane(in[0]);
    if (stride == 1)
      load_run(out, in, shape.columns);
    else
      for (int c = 0; c < shape.columns; ++c)
        out[c] = stride == 0 ? first : to_lane(in[c * stride]);
  }
}

template <class T>
void store_rows(void* to, const float* in, BlockShape shape, int64_t row_stride, int64_t stride) {
  T* out = static_cast<T*>(to);
  if (stride == 1 && row_stride == shape.columns) shape = {1, shape.count()};
  for (int r = 0; r < shape.rows; ++r, in += shape.columns, out += row_stride) {
    if (stride == 1)
      store_run(out, in, shape.columns);
    else
      for (int c = 0; c < shape.columns; ++c) from_lane(in[c], out[c * stride]);
  }
}

// `strides` of rows and of columns, in elements.
void load_block(float* out, const void* in, DType t, BlockShape shape, int64_t row_stride,
                int64_t stride) {
  switch (t) {
    case DType::f32:
      return load_rows<float>(out, in, shape, row_stride, stride);
    case DType::bf16:
      return load_rows<bf16>(out, in, shape, row_stride, stride);
    case DType::f16:
      return load_rows<f16>(out, in, shape, row_stride, stride);
    case DType::i32:
      return load_rows<int32_t>(out, in, shape, row_stride, stride);
    default:
      return load_rows<bool>(out, in, shape, row_stride, stride);
  }
}

void store_block(void* out, const float* in, DType t, BlockShape shape, int64_t row_stride,
                 int64_t stride) {
  switch (t) {
    case DType::f32:
      return store_rows<float>(out, in, shape, row_stride, stride);
    case DType::bf16:
      return store_rows<bf16>(out, in, shape, row_stride, stride);
    case DType::f16:
      return store_rows<f16>(out, in, shape, row_stride, stride);
    case DType::i32:
      return store_rows<int32_t>(out, in, shape, row_stride, stride);
    default:
      return store_rows<bool>(out, in, shape, row_stride, stride);
  }
}

}  // namespace
}  // namespace weft::kernels::cpu::WEFT_ISA
