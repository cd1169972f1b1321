// The one product attention is made of: C += A B or C = A B on small blocks, for bf16 in the order
// of tdpbf16ps, for f32 as one ascending chain of FMAs. C is f32 [m, n] in rows.
//
//   A  rows of Operand<T>: what the instruction set multiplies fastest. For bf16 that is bf16 where
//      there are tiles, else f32 holding bf16 values (FMA broadcasts them from memory).
//   B  packed in tiles of 16 columns: [n / 16][k / w][16][w] of T, w = pair_width<T>. For bf16
//      neighbours in k lie side by side, and 32 of k make one AMX tile.
//
// n and k are multiples of 32. Rows of A and C past m, up to a multiple of 16, exist and may
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

// Where there are no tiles there is nothing to overlap: products run at once.
template <class T>
class ProductQueue {
 public:
  void push(const Product<T>& p) { run_product(p); }
  void advance(int /*done*/, int /*of*/) {}
  void finish() {}
};

#if defined(__AMX_TILE__)

// Tiles 0 to 3 accumulate, 4 and 5 hold A, 6 and 7 hold B; all are 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// For the lifetime of a thread's work.
class UseTiles {
 public:
  UseTiles() {
    const TileConfig config;
    asm volatile("" : : "r"(&config) : "memory");  // the intrinsic reads it unknown to the compiler
    _tile_loadconfig(&config);
  }
  ~UseTiles() { _tile_release(); }
};

// Tile loads are unknown to the compiler as reads of memory: stores must not move past this.
WEFT_INLINE inline void order_memory() {
  asm volatile("" : : : "memory");
}

template <int m, int n>  // in tiles of 16, 1 or 2
WEFT_INLINE inline void load_sums(const float* c, int64_t c_stride) {
  const int64_t bytes = c_stride * 4;
  _tile_loadd(0, c, bytes);
  if constexpr (n > 1) _tile_loadd(1, c + 16, bytes);
  if constexpr (m > 1) _tile_loadd(2, c + 16 * c_stride, bytes);
  if constexpr (m > 1 && n > 1) _tile_loadd(3, c + 16 * c_stride + 16, bytes);
}
template <int m, int n>
WEFT_INLINE inline void zero_sums() {
  _tile_zero(0);
  if constexpr (n > 1) _tile_zero(1);
  if constexpr (m > 1) _tile_zero(2);
  if constexpr (m > 1 && n > 1) _tile_zero(3);
}
template <int m, int n>
WEFT_INLINE inline void store_sums(float* c, int64_t c_stride) {
  const int64_t bytes = c_stride * 4;
  _tile_stored(0, c, bytes);
  if constexpr (n > 1) _tile_stored(1, c + 16, bytes);
  if constexpr (m > 1) _tile_stored(2, c + 16 * c_stride, bytes);
  if constexpr (m > 1 && n > 1) _tile_stored(3, c + 16 * c_stride + 16, bytes);
}

// 32 of k. b_stride: elements from a tile of B to the one 16 columns on.
template <int m, int n>
WEFT_INLINE inline void multiply_tiles(const bf16* a, int64_t a_stride, const bf16* b,
                                       int64_t b_stride) {
  const int64_t bytes = a_stride * 2;
  _tile_loadd(4, a, bytes);
  _tile_loadd(6, b, 64);
  if constexpr (n > 1) _tile_loadd(7, b + b_stride, 64);
  if constexpr (m > 1) _tile_loadd(5, a + 16 * a_stride, bytes);
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (n > 1) _tile_dpbf16ps(1, 4, 7);
  if constexpr (m > 1) _tile_dpbf16ps(2, 5, 6);
  if constexpr (m > 1 && n > 1) _tile_dpbf16ps(3, 5, 7);
}

// From row i and column j on.
template <int m, int n>
WEFT_INLINE inline void product_tiles(const Product<bf16>& p, int i, int j) {
  float* c = p.c + i * p.c_stride + j;
  if (p.add)
    load_sums<m, n>(c, p.c_stride);
  else
    zero_sums<m, n>();
  for (int s = 0; s < p.k; s += 32)
    multiply_tiles<m, n>(p.a + i * p.a_stride + s, p.a_stride, p.b + j / 16 * p.b_stride + s * 16,
                         p.b_stride);
  store_sums<m, n>(c, p.c_stride);
}

template <>
inline void run_product(const Product<bf16>& p) {
  order_memory();
  for (int i = 0; i < p.m; i += 32)
    for (int j = 0; j < p.n; j += 32)
      if (i + 16 < p.m)
        product_tiles<2, 2>(p, i, j);
      else
        product_tiles<1, 2>(p, i, j);
  order_memory();
}

// Products to be run beside vector work, which calls advance() from time to time: left to itself
// the processor does not run tiles and vectors side by side. A product is done in parts of 32 x 32
// of C and 32 of k. C must not be read, nor A and B be written, before finish().
template <>
class ProductQueue<bf16> {
 public:
  void push(const Product<bf16>& p) {
    if (p.m % 32 != 0) return run_product(p);
    queue_[size_++] = p;
    total_ += p.m / 32 * (p.n / 32) * (p.k / 32);
  }
  // Runs parts until done / of of them are done.
  WEFT_INLINE void advance(int done, int of) {
    order_memory();
    for (const int target = total_ * done / of; parts_ < target; ++parts_) run_part();
    order_memory();
  }
  void finish() {
    advance(1, 1);
    size_ = at_ = parts_ = total_ = 0;
  }

 private:
  WEFT_INLINE void run_part() {
    const Product<bf16>& p = queue_[at_];
    float* c = p.c + i_ * p.c_stride + j_;
    if (s_ == 0) p.add ? load_sums<2, 2>(c, p.c_stride) : zero_sums<2, 2>();
    multiply_tiles<2, 2>(p.a + i_ * p.a_stride + s_, p.a_stride,
                         p.b + j_ / 16 * p.b_stride + s_ * 16, p.b_stride);
    if ((s_ += 32) < p.k) return;
    store_sums<2, 2>(c, p.c_stride);
    s_ = 0;
    if ((j_ += 32) < p.n) return;
    j_ = 0;
    if ((i_ += 32) < p.m) return;
    i_ = 0, ++at_;
  }

  Product<bf16> queue_[2];
  int size_ = 0, at_ = 0;      // products
  int total_ = 0, parts_ = 0;  // parts: all, done
  int i_ = 0, j_ = 0, s_ = 0;  // the next part, within queue_[at_]
};

#else

class UseTiles {
 public:
  UseTiles() {}
};

#endif

}  // namespace weft::kernels::cpu::WEFT_ISA
