#include "weft/kernels/reduce.h"

#include <cmath>
#include <limits>
#include <type_traits>

namespace weft::kernels::ref {
namespace {

// What elements of T are reduced in.
template <class T>
using Wide = std::conditional_t<std::is_integral_v<T>, int64_t, double>;

template <class T>
Wide<T> widen(T x) {
  if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
    return double(float(x));
  else
    return Wide<T>(x);
}

template <class T, class W>
T narrow(W x) {
  if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
    return T(float(x));
  else
    return T(x);
}

bool is_nan(int64_t) {
  return false;
}
bool is_nan(double x) {
  return std::isnan(x);
}

template <class W>
W start(ReduceOp op) {
  if (op == ReduceOp::sum || std::is_integral_v<W>) return 0;
  return op == ReduceOp::min ? std::numeric_limits<W>::infinity()
                             : -std::numeric_limits<W>::infinity();
}

template <class W>
W join(ReduceOp op, W a, W b) {
  if constexpr (std::is_integral_v<W>) {
    if (op == ReduceOp::sum) return W(uint64_t(a) + uint64_t(b));
  } else {
    if (op == ReduceOp::sum) return a + b;
  }
  if (is_nan(a) || is_nan(b)) return is_nan(a) ? a : b;
  return (op == ReduceOp::max) == (a > b) ? a : b;
}

// `reduce` elements, `step` apart.
template <class T>
Wide<T> reduce_one(ReduceOp op, const T* x, int64_t n, int64_t step) {
  if (n == 0) return start<Wide<T>>(op);
  Wide<T> result = widen(x[0]);
  for (int64_t i = 1; i < n; ++i) result = join(op, result, widen(x[i * step]));
  return result;
}

template <class T>
int64_t place_of_largest(const T* x, int64_t n, int64_t step) {
  int64_t place = 0;
  for (int64_t i = 1; i < n; ++i) {
    const Wide<T> best = widen(x[place * step]), v = widen(x[i * step]);
    if (!is_nan(best) && (v > best || is_nan(v))) place = i;
  }
  return place;
}

template <class T, class Out>
void reduce_all(const Reduce& p) {
  for (int64_t o = 0; o < p.outer; ++o)
    for (int64_t i = 0; i < p.inner; ++i) {
      const T* x = static_cast<const T*>(p.in) + o * p.reduce * p.inner + i;
      static_cast<Out*>(p.out)[o * p.inner + i] =
          p.op == ReduceOp::argmax ? narrow<Out>(place_of_largest(x, p.reduce, p.inner))
                                   : narrow<Out>(reduce_one(p.op, x, p.reduce, p.inner));
    }
}

}  // namespace

void reduce(const Reduce& p) {
  visit_dtype(p.in_dtype, [&](auto in) {
    visit_dtype(p.out_dtype, [&](auto out) { reduce_all<decltype(in), decltype(out)>(p); });
  });
}

}  // namespace weft::kernels::ref
