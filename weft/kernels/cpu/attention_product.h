// The one product attention is made of: C += A B or C = A B on small blocks, for bf16 in the order
// of tdpbf16ps, for f32 as one ascending chain of FMAs. C is f32 [m, n] in rows.
//
//   A  rows of Operand<T>: what the instruction set multiplies fastest. For bf16 that is bf16 where
//      there are tiles, else f32 holding bf16 values (FMA broadcasts them from memory).
//   B  packed in tiles of 16 columns: [n / 16][k / w][16][w] of T, w = pair_width<T>. For bf16
//      neighbours in k lie side by side, and 32 of k make one AMX tile.
//
// n is a multiple of 16 and k of 32. Rows of A and C past m, up to a multiple of 16, exist and may
// be used.
#pragma once
#include "weft/kernels/cpu/simd.h"

#define WEFT_INLINE __attribute__((always_inline))
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

// C of `rows` rows and 16 columns, one tile of B; 32 of k from a and b on. An even and an odd chain
// from zero, added, then added to C.
template <int rows>
WEFT_INLINE inline void product_step(const float* a, int64_t a_stride, const bf16* b, float* c,
                                     int64_t c_stride, bool add) {
  F32x16 even[rows], odd[rows];
  for (int i = 0; i < 32; i += 2, b += 32) {
    const I32x16 pairs = I32x16::load(reinterpret_cast<const int32_t*>(b));
    const F32x16 first = as_float(shift_left<16>(pairs));
    const F32x16 second = as_float(pairs & I32x16(int32_t(0xffff0000u)));
    WEFT_UNROLL for (int r = 0; r < rows; ++r) {
      even[r] = fma(F32x16(a[r * a_stride + i]), first, even[r]);
      odd[r] = fma(F32x16(a[r * a_stride + i + 1]), second, odd[r]);
    }
  }
  WEFT_UNROLL for (int r = 0; r < rows; ++r) {
    float* to = c + r * c_stride;
    ((even[r] + odd[r]) + (add ? F32x16::load(to) : F32x16())).store(to);
  }
}

template <int rows>
WEFT_INLINE inline void product_step(const float* a, int64_t a_stride, const float* b, float* c,
                                     int64_t c_stride, bool add) {
  F32x16 sum[rows];
  if (add) {
    WEFT_UNROLL for (int r = 0; r < rows; ++r) sum[r] = F32x16::load(c + r * c_stride);
  }
  for (int i = 0; i < 32; ++i, b += 16) {
    const F32x16 column = F32x16::load(b);
    WEFT_UNROLL for (int r = 0; r < rows; ++r) {
      sum[r] = fma(F32x16(a[r * a_stride + i]), column, sum[r]);
    }
  }
  WEFT_UNROLL for (int r = 0; r < rows; ++r) sum[r].store(c + r * c_stride);
}

template <int rows, class T>
void product_rows(const float* a, int64_t a_stride, const T* b, float* c, int64_t c_stride, int n,
                  int k, bool add) {
  for (int j = 0; j < n; j += 16)
    for (int s = 0; s < k; s += 32, b += 32 * 16)
      product_step<rows>(a + s, a_stride, b, c + j, c_stride, add || s > 0);
}

// As many rows together as the registers hold: a row takes two chains.
template <class T>
void product(const float* a, int64_t a_stride, const T* b, float* c, int64_t c_stride, int m, int n,
             int k, bool add) {
#if defined(__AVX512F__)
  for (; m >= 8; m -= 8, a += 8 * a_stride, c += 8 * c_stride)
    product_rows<8>(a, a_stride, b, c, c_stride, n, k, add);
  if (m >= 4) {
    product_rows<4>(a, a_stride, b, c, c_stride, n, k, add);
    m -= 4, a += 4 * a_stride, c += 4 * c_stride;
  }
#endif
  for (; m >= 2; m -= 2, a += 2 * a_stride, c += 2 * c_stride)
    product_rows<2>(a, a_stride, b, c, c_stride, n, k, add);
  if (m) product_rows<1>(a, a_stride, b, c, c_stride, n, k, add);
}

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

template <int m, int n>
WEFT_INLINE inline void product_tiles(const bf16* a, int64_t a_stride, const bf16* b, float* c,
                                      int64_t c_stride, int k, bool add) {
  if (add)
    load_sums<m, n>(c, c_stride);
  else
    zero_sums<m, n>();
  for (int s = 0; s < k; s += 32)
    multiply_tiles<m, n>(a + s, a_stride, b + s * 16, int64_t{k} * 16);
  store_sums<m, n>(c, c_stride);
}

template <int m>
void product_tile_rows(const bf16* a, int64_t a_stride, const bf16* b, float* c, int64_t c_stride,
                       int n, int k, bool add) {
  int j = 0;
  for (; j + 32 <= n; j += 32) product_tiles<m, 2>(a, a_stride, b + j * k, c + j, c_stride, k, add);
  if (j < n) product_tiles<m, 1>(a, a_stride, b + j * k, c + j, c_stride, k, add);
}

inline void product(const bf16* a, int64_t a_stride, const bf16* b, float* c, int64_t c_stride,
                    int m, int n, int k, bool add) {
  order_memory();
  int i = 0;
  for (; i + 16 < m; i += 32)
    product_tile_rows<2>(a + i * a_stride, a_stride, b, c + i * c_stride, c_stride, n, k, add);
  if (i < m)
    product_tile_rows<1>(a + i * a_stride, a_stride, b, c + i * c_stride, c_stride, n, k, add);
  order_memory();
}

#else

class UseTiles {
 public:
  UseTiles() {}
};

#endif

}  // namespace weft::kernels::cpu::WEFT_ISA
