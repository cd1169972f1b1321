// The one product attention is made of: C += A B or C = A B on small blocks, for bf16 in the order
// of tdpbf16ps, for f32 as one ascending chain of FMAs. C is f32 [m, n] in rows.
//
//   A  rows of Operand<T>: what the instruction set multiplies fastest. For bf16 that is bf16 where
//      there are tiles, else f32 holding bf16 values (FMA broadcasts them from memory).
//   B  packed in tiles of 16 columns: [n / 16][k / w][16][w] of T, w = pair_width<T>. For bf16
//      neighbours in k lie side by side, and 32 of k make one AMX tile.
//
// n and k are multiples of 32. Rows of A and C past m, up to 16 or a multiple of 32, exist and may
// be used.
#pragma once
#include "weft/kernels/cpu/rows.h"

#if defined(__clang__)
#define WEFT_UNROLL _Pragma("unroll")
#else
#define WEFT_UNROLL _Pragma("GCC unroll 16")
#endif

namespace weft::kernels::cpu::WEFT_ISA {

template <class T>
constexpr int pair_width = 4 / int(sizeof(T));

template <class T>
struct OperandOf {
  using type = float;
};
#if defined(__AMX_TILE__)
template <>
struct OperandOf<bf16> {
  using type = bf16;
};
#endif
template <class T>
using Operand = typename OperandOf<T>::type;

// Lanes without a constructor: the compiler zeroes an array of F32x16 in memory first.
struct Lanes16 {
#if defined(__AVX512F__)
  __m512 v;
  operator F32x16() const {
    return v;
  }
  void operator=(F32x16 x) {
    v = x.v;
  }
#else
  __m256 a, b;
  operator F32x16() const {
    return {a, b};
  }
  void operator=(F32x16 x) {
    a = x.a, b = x.b;
  }
#endif
};

// C of `rows` rows and `tiles` times 16 columns, 32 of k from a and b on; b_stride is from one tile
// of 16 columns to the next. An even and an odd chain from zero, added, then added to C.
template <int rows, int tiles>
WEFT_INLINE inline void product_step(const float* a, int64_t a_stride, const bf16* b,
                                     int64_t b_stride, float* c, int64_t c_stride, bool add) {
  Lanes16 even[rows][tiles], odd[rows][tiles];
  WEFT_UNROLL for (int n = 0; n < rows * tiles; ++n) {
    even[n / tiles][n % tiles] = F32x16(), odd[n / tiles][n % tiles] = F32x16();
  }
  for (int i = 0; i < 32; i += 2, b += 32) {
    Lanes16 first[tiles], second[tiles];
    WEFT_UNROLL for (int t = 0; t < tiles; ++t) {
      const I32x16 pairs = I32x16::load(reinterpret_cast<const int32_t*>(b + t * b_stride));
      first[t] = as_float(shift_left<16>(pairs));
      second[t] = as_float(pairs & I32x16(int32_t(0xffff0000u)));
    }
    WEFT_UNROLL for (int r = 0; r < rows; ++r) {
      const F32x16 x = a[r * a_stride + i], y = a[r * a_stride + i + 1];
      WEFT_UNROLL for (int t = 0; t < tiles; ++t) {
        even[r][t] = fma(x, first[t], even[r][t]);
        odd[r][t] = fma(y, second[t], odd[r][t]);
      }
    }
  }
  WEFT_UNROLL for (int n = 0; n < rows * tiles; ++n) {
    float* to = c + n / tiles * c_stride + n % tiles * 16;
    const F32x16 sum = F32x16(even[n / tiles][n % tiles]) + odd[n / tiles][n % tiles];
    (sum + (add ? F32x16::load(to) : F32x16())).store(to);
  }
}

template <int rows, int tiles>
WEFT_INLINE inline void product_step(const float* a, int64_t a_stride, const float* b,
                                     int64_t b_stride, float* c, int64_t c_stride, bool add) {
  Lanes16 sum[rows][tiles];
  WEFT_UNROLL for (int n = 0; n < rows * tiles; ++n) {
    const float* from = c + n / tiles * c_stride + n % tiles * 16;
    sum[n / tiles][n % tiles] = add ? F32x16::load(from) : F32x16();
  }
  for (int i = 0; i < 32; ++i, b += 16) {
    Lanes16 columns[tiles];
    WEFT_UNROLL for (int t = 0; t < tiles; ++t) columns[t] = F32x16::load(b + t * b_stride);
    WEFT_UNROLL for (int r = 0; r < rows; ++r) {
      const F32x16 x = a[r * a_stride + i];
      WEFT_UNROLL for (int t = 0; t < tiles; ++t) sum[r][t] = fma(x, columns[t], sum[r][t]);
    }
  }
  WEFT_UNROLL for (int n = 0; n < rows * tiles; ++n) {
    F32x16(sum[n / tiles][n % tiles]).store(c + n / tiles * c_stride + n % tiles * 16);
  }
}

// C += A B, or C = A B. Strides are in elements: of A and C from row to row, of B from one tile of
// 16 columns to the next.
template <class T>
struct Product {
  const Operand<T>* a;
  int64_t a_stride;
  const T* b;
  int64_t b_stride;
  float* c;
  int64_t c_stride;
  int m, n, k;
  bool add;
};

// `rows` rows of C at a time from row `begin` on, as many as there are; returns the row it came to.
template <int rows, int tiles, class T>
int product_rows(const Product<T>& p, int begin) {
  int r = begin;
  for (; r + rows <= p.m; r += rows)
    for (int j = 0; j < p.n; j += 16 * tiles)
      for (int s = 0; s < p.k; s += 32)
        product_step<rows, tiles>(p.a + r * p.a_stride + s, p.a_stride,
                                  p.b + j / 16 * p.b_stride + s * 16, p.b_stride,
                                  p.c + r * p.c_stride + j, p.c_stride, p.add || s > 0);
  return r;
}

// Rows and tiles of columns together so that the chains fill the registers; bf16 has two for each.
#if defined(__AVX512F__)
constexpr int tiles_together = 2;
template <class T>
constexpr int rows_together = sizeof(T) == 2 ? 4 : 8;
#else
constexpr int tiles_together = 1;
template <class T>
constexpr int rows_together = sizeof(T) == 2 ? 2 : 4;
#endif

template <class T>
void run_product(const Product<T>& p) {
  product_rows<1, tiles_together>(p, product_rows<rows_together<T>, tiles_together>(p, 0));
}

// Products to be run beside vector work, in the order they came: C must not be read nor A and B be
// written before finish(). Where there are no tiles there is nothing to overlap, and they run at
// once.
template <class T>
class ProductQueue {
 public:
  void push(const Product<T>& p) { run_product(p); }
  // Runs the four pieces of vector work f(0) to f(3), and products until done / of of them are
  // done.
  template <class F>
  WEFT_INLINE void beside(int /*done*/, int /*of*/, F f) {
    WEFT_UNROLL for (int i = 0; i < 4; ++i) f(i);
  }
  void finish() {}
};

#if !defined(__AMX_TILE__)
class UseTiles {
 public:
  UseTiles() {}
};
#endif

}  // namespace weft::kernels::cpu::WEFT_ISA
