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

template <bool all, class T>
inline F32x16 load(const T* p, int n) {
  return all ? F32x16::load(p) : F32x16::load(p, n);
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

// The rows of a finished block, one after the other. `parts`: of EpiloguePart, known when compiled;
// `all`: every one of the 32 columns is there.
template <class In, class Out>
struct EpilogueRows {
  const float* sums;
  Out *c, *slope;
  const In* bias;
  const Out* residual;
  int64_t c_stride, residual_stride;
  int columns;

  template <int parts, bool all>
  [[gnu::always_inline]] void next() {
    F32x16 v[2], kept[2];
    v[0] = finish<parts, all>(0, kept[0]);
    if (all || columns > 16) v[1] = finish<parts, all>(16, kept[1]);
    store_row<all>(v, c);
    if constexpr (parts & keep_slope) store_row<all>(kept, slope);
    sums += block_stride, c += c_stride;
    if constexpr (parts & (keep_slope | by_slope)) slope += c_stride;
    if constexpr (parts & add_residual) residual += residual_stride;
  }

 private:
  template <int parts, bool all>
  [[gnu::always_inline]] F32x16 finish(int column, [[maybe_unused]] F32x16& kept) const {
    const int n = columns - column;
    F32x16 v = F32x16::load(sums + column);
    if constexpr (parts & add_bias) v = v + load<all>(bias + column, n);
    if constexpr (parts & apply_gelu) {
      const WithSlope y = gelu_with_slope<Out>(rounded<Out>(v));
      kept = y.slope;
      v = y.value;
    }
    if constexpr (parts & by_slope) v = rounded<Out>(v) * load<all>(slope + column, n);
    if constexpr (parts & add_residual) v = rounded<Out>(v) + load<all>(residual + column, n);
    return v;
  }
  template <bool all>
  [[gnu::always_inline]] void store_row(const F32x16* v, Out* to) const {
    if (all) return store_pair(v[0], v[1], to);
    v[0].store(to, columns);
    if (columns > 16) v[1].store(to + 16, columns - 16);
  }
};

// Handed on by value, so that the compiler keeps all of it in registers.
template <class In, class Out, int parts>
struct NextRow {
  EpilogueRows<In, Out> rows;
  [[gnu::always_inline]] void operator()() { rows.template next<parts, true>(); }
};

template <class In, class Out>
class Epilogue {
 public:
  Epilogue(const Matmul& params, int64_t batch)
      : p_(params),
        batch_(batch),
        parts_(p_.activation == Matmul::times_slope
                   ? by_slope
                   : (p_.bias ? add_bias : 0) |
                         (p_.activation == Matmul::gelu_tanh ? apply_gelu : 0) |
                         (p_.slope ? keep_slope : 0) | (p_.residual ? add_residual : 0)) {}

  Out* c(int64_t row, int64_t column) const { return static_cast<Out*>(p_.c) + at(row, column); }
  // Only conversion.
  bool is_plain() const { return parts_ == 0; }

  EpilogueRows<In, Out> rows(const float* sums, const Place& x) const {
    EpilogueRows<In, Out> r = {sums,
                               c(x.row, x.column),
                               nullptr,
                               nullptr,
                               nullptr,
                               p_.c_row_stride,
                               p_.residual_row_stride,
                               x.columns};
    if (p_.slope) r.slope = static_cast<Out*>(p_.slope) + at(x.row, x.column);
    if (p_.bias) r.bias = static_cast<const In*>(p_.bias) + x.column;
    if (p_.residual)
      r.residual = static_cast<const Out*>(p_.residual) + batch_ * p_.residual_batch_stride +
                   x.row * p_.residual_row_stride + x.column;
    return r;
  }

  // Asks for what store_block will read and write, long before: its rows lie a stride apart, which
  // no prefetcher follows. Inlined: GCC 12 drops calls of a function that does nothing but
  // prefetch.
  [[gnu::always_inline]] void fetch(const Place& place) const {
    const EpilogueRows<In, Out> r = rows(nullptr, place);
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
  void store_parts(EpilogueRows<In, Out> from, const Place& place,
                   std::integer_sequence<int, parts...>) const {
    with_parts<parts...>([&]<int these>() {
      for (int r = 0; r < place.rows; ++r)
        if (place.columns == 32)
          from.template next<these, true>();
        else
          from.template next<these, false>();
    });
  }

  const Matmul& p_;
  int64_t batch_;
  int parts_;
};

}  // namespace weft::kernels::cpu::WEFT_ISA
