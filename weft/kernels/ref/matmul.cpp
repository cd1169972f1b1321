#include "weft/kernels/matmul.h"

#include <cmath>

#include "weft/kernels/ref/rows.h"

namespace weft::kernels::ref {
namespace {

double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
double gelu_tanh_grad(double x) {
  const double t = std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

// Scaled sum of one element, with bias.
template <class T>
double sum_of(const Matmul& p, int64_t batch, int64_t i, int64_t j, double start) {
  const T* a = static_cast<const T*>(p.a.data) + batch * p.a.batch_stride + i * p.a.row_stride;
  const T* b = static_cast<const T*>(p.b.data) + batch * p.b.batch_stride + j * p.b.col_stride;
  double sum = 0;
  for (int64_t l = 0; l < p.k; ++l)
    sum += wide(a[l * p.a.col_stride]) * wide(b[l * p.b.row_stride]);
  sum = start + double(p.scale) * sum;
  return p.bias ? sum + wide(static_cast<const T*>(p.bias)[j]) : sum;
}

// The epilogue of one element: `sum` in, C's value out. `at` is the element's place in C.
template <class T, class Out>
Out finish(const Matmul& p, double sum, int64_t at, int64_t residual_at) {
  Out v = narrow<Out>(sum);
  Out* slope = static_cast<Out*>(p.slope) + at;
  if (p.activation == Matmul::times_slope) return narrow<Out>(wide(v) * wide(*slope));
  if (p.activation == Matmul::gelu_tanh) {
    if (p.slope) *slope = narrow<Out>(gelu_tanh_grad(wide(v)));
    v = narrow<Out>(gelu_tanh(wide(v)));
  }
  if (p.residual) v = narrow<Out>(wide(v) + wide(static_cast<const Out*>(p.residual)[residual_at]));
  return v;
}

// Of one row and column of C, of one matrix.
template <class T, class Out>
void swiglu(const Matmul& p, int64_t i, int64_t j) {
  const int64_t half = p.n / 2, at = i * p.slope_row_stride + j;
  const double gate = wide(narrow<Out>(sum_of<T>(p, 0, i, j, 0)));
  const double up = wide(narrow<Out>(sum_of<T>(p, 0, i, half + j, 0)));
  const Out silu = narrow<Out>(gate * sigmoid(gate));
  const double silu_slope = sigmoid(gate) * (1 + gate * sigmoid(-gate));
  Out* slope = static_cast<Out*>(p.slope) + at;
  if (p.slope) slope[0] = narrow<Out>(up * silu_slope), slope[half] = silu;
  static_cast<Out*>(p.c)[i * p.c_row_stride + j] = narrow<Out>(wide(silu) * up);
}
template <class T, class Out>
void swiglu_gradient(const Matmul& p, int64_t i, int64_t j) {
  const double v = wide(narrow<Out>(sum_of<T>(p, 0, i, j, 0)));
  const Out* slope = static_cast<const Out*>(p.slope) + i * p.slope_row_stride + j;
  Out* c = static_cast<Out*>(p.c) + i * p.c_row_stride + j;
  c[0] = narrow<Out>(v * wide(slope[0])), c[p.n] = narrow<Out>(v * wide(slope[p.n]));
}

template <class T, class Out>
void matmul_into(const Matmul& p) {
  const int64_t columns = p.activation == Matmul::swiglu ? p.n / 2 : p.n;
  for (int64_t batch = 0; batch < p.batch; ++batch)
    for (int64_t i = 0; i < p.m; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        if (p.activation == Matmul::swiglu) {
          swiglu<T, Out>(p, i, j);
        } else if (p.activation == Matmul::swiglu_gradient) {
          swiglu_gradient<T, Out>(p, i, j);
        } else {
          const int64_t at = batch * p.c_batch_stride + i * p.c_row_stride + j;
          Out* c = static_cast<Out*>(p.c) + at;
          const double sum = sum_of<T>(p, batch, i, j, p.accumulate ? wide(*c) : 0);
          *c = finish<T, Out>(p, sum, at,
                              batch * p.residual_batch_stride + i * p.residual_row_stride + j);
        }
      }
}

}  // namespace

template <class T>
void matmul(const Matmul& p) {
  if (p.out == dtype_of<T>::value)
    matmul_into<T, T>(p);
  else
    matmul_into<T, float>(p);
}

template void matmul<double>(const Matmul&);
template void matmul<float>(const Matmul&);
template void matmul<bf16>(const Matmul&);

}  // namespace weft::kernels::ref
