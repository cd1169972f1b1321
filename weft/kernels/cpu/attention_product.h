// The one product attention is made of: C += A B or C = A B on small blocks, for bf16 in the order
// of tdpbf16ps, for f32 as one ascending chain of FMAs. C is f32 [m, n] in rows.
//
//   A  rows of T.
//   B  packed in tiles of 16 columns: [n / 16][k / w][16][w] of T, w = pair_width<T>. For bf16
//      neighbours in k lie side by side, and 32 of k make one AMX tile.
//
// n and k are multiples of 32. Rows of A and C past m, up to 16 or a multiple of 32, exist and may
// be used.
#pragma once
#include "weft/kernels/cpu/bf16_chains.h"

namespace weft::kernels::cpu::WEFT_ISA {

template <class T>
constexpr int pair_width = 4 / int(sizeof(T));

// C of `rows` rows and `tiles` times 16 columns, 32 of k from a and b on; b_stride is from one tile
// of 16 columns to the next.
template <int rows, int tiles>
WEFT_INLINE inline void product_step(const bf16* a, int64_t a_stride, const bf16* b,
                                     int64_t b_stride, float* c, int64_t c_stride, bool add) {
  alignas(64) float words[rows * 2 * Links::words];
  for (int r = 0; r < rows; ++r) Links::row(a + r * a_stride, words + r * 2 * Links::words);
  F32x16 sums[rows][tiles];
  WEFT_UNROLL for (int n = 0; n < rows * tiles; ++n) {
    const float* from = c + n / tiles * c_stride + n % tiles * 16;
    sums[n / tiles][n % tiles] = add ? F32x16::load(from) : F32x16();
  }
  chains_step(words, b, b_stride, NoLines{}, sums);
  WEFT_UNROLL for (int n = 0; n < rows * tiles; ++n) {
    sums[n / tiles][n % tiles].store(c + n / tiles * c_stride + n % tiles * 16);
  }
}

template <int rows, int tiles>
WEFT_INLINE inline void product_step(const float* a, int64_t a_stride, const float* b,
                                     int64_t b_stride, float* c, int64_t c_stride, bool add) {
  F32x16 sum[rows][tiles];
  WEFT_UNROLL for (int n = 0; n < rows * tiles; ++n) {
    const float* from = c + n / tiles * c_stride + n % tiles * 16;
    sum[n / tiles][n % tiles] = add ? F32x16::load(from) : F32x16();
  }
  for (int i = 0; i < 32; ++i, b += 16) {
    F32x16 columns[tiles];
    WEFT_UNROLL for (int t = 0; t < tiles; ++t) columns[t] = F32x16::load(b + t * b_stride);
    WEFT_UNROLL for (int r = 0; r < rows; ++r) {
      const F32x16 x = a[r * a_stride + i];
      WEFT_UNROLL for (int t = 0; t < tiles; ++t) sum[r][t] = fma(x, columns[t], sum[r][t]);
    }
  }
  WEFT_UNROLL for (int n = 0; n < rows * tiles; ++n) {
    sum[n / tiles][n % tiles].store(c + n / tiles * c_stride + n % tiles * 16);
  }
}

// C += A B, or C = A B. Strides are in elements: of A and C from row to row, of B from one tile of
// 16 columns to the next.
template <class T>
struct Product {
  const T* a;
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
constexpr int tiles_together = 2, f32_rows_together = 8, bf16_rows_together = 6;
#else
constexpr int tiles_together = 1, f32_rows_together = 4, bf16_rows_together = 3;
#endif

template <int rows, class T>
void run_rows(const Product<T>& p) {
  const int most = product_rows<rows, tiles_together>(p, 0);
  product_rows<1, tiles_together>(p, product_rows<2, tiles_together>(p, most));
}
inline void run_product(const Product<float>& p) {
  run_rows<f32_rows_together>(p);
}
inline void run_product(const Product<bf16>& p) {
  run_rows<bf16_rows_together>(p);
}

// Products to be run beside vector work, in the order they came: C must not be read nor A and B be
// written before finish(). Without tiles there is nothing to overlap, and they run at once.
template <class T>
class ProductQueue {
 public:
  static constexpr bool on_tiles = false;
  struct Session {  // for the time of a thread's work
    Session() {}
  };

  void push(const Product<T>& p) { run_product(p); }
  // Runs the four pieces of vector work f(0) to f(3), and products until done / of of them are
  // done.
  template <class F>
  WEFT_INLINE void beside(int /*done*/, int /*of*/, F f) {
    WEFT_UNROLL for (int i = 0; i < 4; ++i) f(i);
  }
  void finish() {}
};

}  // namespace weft::kernels::cpu::WEFT_ISA
