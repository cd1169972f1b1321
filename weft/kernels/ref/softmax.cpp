#include "weft/kernels/softmax.h"

#include <cmath>
#include <limits>
#include <vector>

#include "weft/kernels/ref/rows.h"

namespace weft::kernels::ref {

template <class T>
void softmax_forward(const SoftmaxForward& p) {
  std::vector<double> e(static_cast<size_t>(p.width));
  for (int64_t r = 0; r < p.rows; ++r) {
    const T* x = static_cast<const T*>(p.x) + r * p.width;
    T* y = static_cast<T*>(p.y) + r * p.width;
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < p.width; ++i) largest = std::fmax(largest, wide(x[i]));
    for (int64_t i = 0; i < p.width; ++i) sum += e[size_t(i)] = std::exp(wide(x[i]) - largest);
    for (int64_t i = 0; i < p.width; ++i) y[i] = narrow<T>(e[size_t(i)] / sum);
  }
}

template <class T>
void softmax_backward(const SoftmaxBackward& p) {
  for (int64_t r = 0; r < p.rows; ++r) {
    const T* dy = static_cast<const T*>(p.dy) + r * p.width;
    const T* y = static_cast<const T*>(p.y) + r * p.width;
    T* dx = static_cast<T*>(p.dx) + r * p.width;
    double sum = 0;
    for (int64_t i = 0; i < p.width; ++i) sum += wide(dy[i]) * wide(y[i]);
    for (int64_t i = 0; i < p.width; ++i) dx[i] = narrow<T>((wide(dy[i]) - sum) * wide(y[i]));
  }
}

template void softmax_forward<double>(const SoftmaxForward&);
template void softmax_forward<float>(const SoftmaxForward&);
template void softmax_forward<bf16>(const SoftmaxForward&);
template void softmax_backward<double>(const SoftmaxBackward&);
template void softmax_backward<float>(const SoftmaxBackward&);
template void softmax_backward<bf16>(const SoftmaxBackward&);

}  // namespace weft::kernels::ref
