// What happens to a finished 32 x 32 block of sums on its way to C.
#pragma once
#include "weft/kernels/cpu/matmul_block.h"
#include "weft/kernels/cpu/vmath.h"
#include "weft/kernels/matmul.h"

namespace weft::kernels::cpu::WEFT_ISA {

template <class T>
inline F32x16 rounded(F32x16 x) {
  if constexpr (sizeof(T) == 4) return x;
  T t[lanes];
  x.store(t);
  return F32x16::load(t);
}

template <bool all, class T>
inline F32x16 load(const T* p, int n) {
  return all ? F32x16::load(p) : F32x16::load(p, n);
}
template <bool all, class T>
inline void store(F32x16 x, T* p, int n) {
  if (all)
    x.store(p);
  else
    x.store(p, n);
}

// Where a block lies: C's first row and column, and how many of the 32 are there.
struct Place {
  int64_t row, column;
  int rows, columns;
  bool whole() const { return rows == 32 && columns == 32; }
};

template <class In, class Out>
struct Epilogue {
  const Matmul& p;
  int64_t batch;

  Out* c(int64_t row, int64_t column) const {
    return static_cast<Out*>(p.c) + batch * p.c_batch_stride + row * p.c_row_stride + column;
  }
  // Only conversion: no bias, activation or residual.
  bool is_plain() const {
    return !p.bias && !p.pre_activation && p.activation == Matmul::none && !p.residual;
  }

  // Sixteen values of one row, or the first n of them.
  template <bool all>
  void finish(F32x16 v, int64_t row, int64_t column, int n) const {
    const int64_t at = batch * p.c_batch_stride + row * p.c_row_stride + column;
    if (p.bias) v = v + load<all>(static_cast<const In*>(p.bias) + column, n);
    if (p.pre_activation) store<all>(v, static_cast<Out*>(p.pre_activation) + at, n);
    if (p.activation == Matmul::gelu_tanh) v = WEFT_ISA::gelu_tanh(rounded<Out>(v));
    if (p.residual) {
      const int64_t from = batch * p.residual_batch_stride + row * p.residual_row_stride + column;
      v = rounded<Out>(v) + load<all>(static_cast<const Out*>(p.residual) + from, n);
    }
    store<all>(v, static_cast<Out*>(p.c) + at, n);
  }

  void store_block(const float* sums, const Place& place) const {
    for (int r = 0; r < place.rows; ++r)
      for (int half = 0; half < 2; ++half) {
        const F32x16 v = F32x16::load(sums + r * block_stride + half * 16);
        const int64_t row = place.row + r, column = place.column + half * 16;
        const int n = place.columns - half * 16;
        if (n >= 16)
          finish<true>(v, row, column, 16);
        else if (n > 0)
          finish<false>(v, row, column, n);
      }
  }

  // C as the start of the sums; zeros past its edges.
  void load_block(float* sums, const Place& place) const {
    for (int r = 0; r < 32; ++r)
      for (int half = 0; half < 2; ++half) {
        const int n = r < place.rows ? place.columns - half * 16 : 0;
        F32x16 v;
        if (n > 0) v = F32x16::load(c(place.row + r, place.column + half * 16), n < 16 ? n : 16);
        v.store(sums + r * block_stride + half * 16);
      }
  }
};

}  // namespace weft::kernels::cpu::WEFT_ISA
