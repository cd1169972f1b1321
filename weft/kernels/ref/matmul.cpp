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

// The epilogue of one element: `sum` in, C's value out. `at` is the element's place in C.
template <class T, class Out>
Out finish(const Matmul& p, double sum, int64_t j, int64_t at, int64_t residual_at) {
  if (p.bias) sum += wide(static_cast<const T*>(p.bias)[j]);
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

template <class T, class Out>
void matmul_into(const Matmul& p) {
  for (int64_t batch = 0; batch < p.batch; ++batch)
    for (int64_t i = 0; i < p.m; ++i)
      for (int64_t j = 0; j < p.n; ++j) {
        const T* a =
            static_cast<const T*>(p.a.data) + batch * p.a.batch_stride + i * p.a.row_stride;
        const T* b =
            static_cast<const T*>(p.b.data) + batch * p.b.batch_stride + j * p.b.col_stride;
        const int64_t at = batch * p.c_batch_stride + i * p.c_row_stride + j;
        Out* c = static_cast<Out*>(p.c) + at;
        double sum = p.accumulate ? wide(*c) : 0;
        for (int64_t l = 0; l < p.k; ++l)
          sum += wide(a[l * p.a.col_stride]) * wide(b[l * p.b.row_stride]);
        *c = finish<T, Out>(p, sum, j, at,
                            batch * p.residual_batch_stride + i * p.residual_row_stride + j);
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
