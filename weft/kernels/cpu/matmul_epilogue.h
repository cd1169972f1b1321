// What happens to a finished 32 x 32 block of sums on its way to C.
#pragma once
#include <utility>

#include "weft/kernels/cpu/matmul_block.h"
#include "weft/kernels/cpu/vmath.h"
#include "weft/kernels/matmul.h"

namespace weft::kernels::cpu::WEFT_ISA {

template <class T>
inline F32x16 rounded(F32x16 x) {
  return round_to(x, static_cast<const T*>(nullptr));
}

// Thirty-two values side by side.
template <class T>
inline void store_pair(F32x16 low, F32x16 high, T* p) {
#if defined(__AVX512BF16__)
  if constexpr (sizeof(T) == 2) {
    _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(high.v, low.v));
    return;
  }
#endif
  low.store(p), high.store(p + 16);
}

// Where a block lies: C's first row and column, and how many of the 32 are there.
struct Place {
  int64_t row, column;
  int rows, columns;
  bool whole() const { return rows == 32 && columns == 32; }
};

// What may happen to a sum, in this order; or, of a gradient, the last alone.
enum EpiloguePart { add_bias = 1, apply_gelu = 2, keep_slope = 4, add_residual = 8, by_slope = 16 };

// The rows of a finished block, two at a time: so many chains of operations hide each other's
// latency. `parts`: of EpiloguePart, known when compiled; `all`: every one of the 32 columns is
// there.
template <class Out>
struct EpilogueRows {
  const float* sums;
  Out *c, *slope;
  const Out* residual;
  int64_t c_stride, residual_stride;
  int columns;
  F32x16 bias[2];

  // How many columns there are from this one on.
  int from_column(int column) const { return columns > column ? columns - column : 0; }

  // The next two rows, or, where there is but one, that one twice.
  template <int parts, bool all>
  [[gnu::always_inline]] void next(int rows = 2) {
    const int64_t second = rows > 1;
    F32x16 v[4], kept[4];
    WEFT_UNROLL for (int i = 0; i < 4; ++i) {
      v[i] = F32x16::load(sums + i / 2 * second * block_stride + i % 2 * 16);
      if constexpr (parts & add_bias) v[i] = v[i] + bias[i % 2];
    }
    if constexpr (parts & apply_gelu) gate<Gelu, Out>(v, kept);
    if constexpr (parts & by_slope)
      combine<all>(v, slope, second * c_stride, [](F32x16 x, F32x16 y) { return x * y; });
    if constexpr (parts & add_residual)
      combine<all>(v, residual, second * residual_stride, [](F32x16 x, F32x16 y) { return x + y; });
    store<all>(v, c, second * c_stride);
    if constexpr (parts & keep_slope) store<all>(kept, slope, second * c_stride);
    sums += 2 * block_stride, c += 2 * c_stride;
    if constexpr (parts & (keep_slope | by_slope)) slope += 2 * c_stride;
    if constexpr (parts & add_residual) residual += 2 * residual_stride;
  }

 private:
  template <bool all, class F>
  [[gnu::always_inline]] void combine(F32x16 (&v)[4], const Out* with, int64_t second, F f) const {
    WEFT_UNROLL for (int i = 0; i < 4; ++i) {
      const Out* p = with + i / 2 * second + i % 2 * 16;
      v[i] =
          f(rounded<Out>(v[i]), all ? F32x16::load(p) : F32x16::load(p, from_column(i % 2 * 16)));
    }
  }
  template <bool all>
  [[gnu::always_inline]] void store(const F32x16 (&v)[4], Out* to, int64_t second) const {
    WEFT_UNROLL for (int i = 0; i < 4; i += 2) {
      Out* p = to + i / 2 * second;
      if (all) {
        store_pair(v[i], v[i + 1], p);
      } else {
        v[i].store(p, columns);
        v[i + 1].store(p + 16, from_column(16));
      }
    }
  }
};

// Handed on by value, so that the compiler keeps all of it in registers.
template <class Out, int parts>
struct NextRows {
  EpilogueRows<Out> rows;
  [[gnu::always_inline]] void operator()() { rows.template next<parts, true>(); }
};

// Rows that are stored elsewhere than in C, at the same distance from `c` as from C.
template <class Out>
struct Apart {
  Out* c = nullptr;
  int64_t begin = 0, end = 0;
};

template <class In, class Out>
class Epilogue {
 public:
  Epilogue(const Matmul& params, int64_t batch, const Apart<Out>& apart)
      : p_(params),
        batch_(batch),
        apart_(apart),
        parts_(p_.activation == Matmul::times_slope
                   ? by_slope
                   : (p_.bias ? add_bias : 0) |
                         (p_.activation == Matmul::gelu_tanh ? apply_gelu : 0) |
                         (p_.slope ? keep_slope : 0) | (p_.residual ? add_residual : 0)) {}

  Out* c(int64_t row, int64_t column) const {
    const bool apart = row >= apart_.begin && row < apart_.end;
    return (apart ? apart_.c : static_cast<Out*>(p_.c)) + at(row, column);
  }
  // Only conversion.
  bool is_plain() const { return parts_ == 0; }

  EpilogueRows<Out> rows(const float* sums, const Place& x) const {
    EpilogueRows<Out> r = {sums,
                           c(x.row, x.column),
                           nullptr,
                           nullptr,
                           p_.c_row_stride,
                           p_.residual_row_stride,
                           x.columns,
                           {}};
    if (p_.slope) r.slope = static_cast<Out*>(p_.slope) + at(x.row, x.column);
    if (p_.bias) {
      const In* bias = static_cast<const In*>(p_.bias) + x.column;
      r.bias[0] = F32x16::load(bias, r.from_column(0));
      r.bias[1] = F32x16::load(bias + 16, r.from_column(16));
    }
    if (p_.residual)
      r.residual = static_cast<const Out*>(p_.residual) + batch_ * p_.residual_batch_stride +
                   x.row * p_.residual_row_stride + x.column;
    return r;
  }

  // Asks for what store_block will read and write, long before: its rows lie a stride apart, which
  // no prefetcher follows. Inlined: GCC 12 drops calls of a function that does nothing but
  // prefetch.
  [[gnu::always_inline]] void fetch(const Place& place) const {
    const EpilogueRows<Out> r = rows(nullptr, place);
    for (int64_t i = 0; i < place.rows; ++i) {
      __builtin_prefetch(r.c + i * r.c_stride, 1);
      if (sizeof(Out) == 4) __builtin_prefetch(r.c + i * r.c_stride + 16, 1);
      if (r.slope) __builtin_prefetch(r.slope + i * r.c_stride, 1);
      if (r.residual) __builtin_prefetch(r.residual + i * r.residual_stride);
    }
  }

  // Calls f<parts>() with the parts of this product, if they are among these.
  template <int first, int... others, class F>
  bool with_parts(F&& f) const {
    if (parts_ == first) {
      f.template operator()<first>();
      return true;
    }
    if constexpr (sizeof...(others) > 0) return with_parts<others...>(f);
    return false;
  }

  void store_block(const float* sums, const Place& place) const {
    store_parts(rows(sums, place), place, std::make_integer_sequence<int, by_slope + 1>());
  }

  // C as the start of the sums; zeros past its edges.
  void load_block(float* sums, const Place& place) const {
    for (int r = 0; r < 32; ++r)
      for (int half = 0; half < 2; ++half) {
        const int n = r < place.rows ? place.columns - half * 16 : 0;
        F32x16 v = {};
        if (n > 0) v = F32x16::load(c(place.row + r, place.column + half * 16), n < 16 ? n : 16);
        v.store(sums + r * block_stride + half * 16);
      }
  }

 private:
  int64_t at(int64_t row, int64_t column) const {
    return batch_ * p_.c_batch_stride + row * p_.c_row_stride + column;
  }

  template <int... parts>
  void store_parts(EpilogueRows<Out> from, const Place& place,
                   std::integer_sequence<int, parts...>) const {
    with_parts<parts...>([&]<int these>() {
      for (int r = 0; r < place.rows; r += 2)
        if (place.columns == 32)
          from.template next<these, true>(place.rows - r);
        else
          from.template next<these, false>(place.rows - r);
    });
  }

  const Matmul& p_;
  int64_t batch_;
  const Apart<Out> apart_;
  int parts_;
};

}  // namespace weft::kernels::cpu::WEFT_ISA
