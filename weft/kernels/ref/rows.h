// Conversions shared by the f64 oracles: values are read as double, summed in double and rounded
// once when written.
#pragma once
#include <type_traits>

#include "weft/tensor/dtype.h"

namespace weft::kernels::ref {

// What a kernel keeps beside tensors of T: f64 for f64, else f32.
template <class T>
using Stat = std::conditional_t<std::is_same_v<T, double>, double, float>;

inline double wide(double v) {
  return v;
}
inline double wide(float v) {
  return double(v);
}
inline double wide(bf16 v) {
  return double(float(v));
}

template <class T>
T narrow(double v) {
  if constexpr (std::is_same_v<T, bf16>)
    return bf16(float(v));
  else
    return T(v);
}

}  // namespace weft::kernels::ref
