#include "weft/kernels/layer_norm.h"

#include <cmath>
#include <vector>

#include "weft/kernels/ref/rows.h"

namespace weft::kernels::ref {

template <class T>
void layer_norm_forward(const LayerNormForward& p) {
  const T* gamma = static_cast<const T*>(p.gamma);
  const T* beta = static_cast<const T*>(p.beta);
  for (int64_t r = 0; r < p.rows; ++r) {
    const T* x = static_cast<const T*>(p.x) + r * p.width;
    T* y = static_cast<T*>(p.y) + r * p.width;
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < p.width; ++i) mean += wide(x[i]);
    mean /= double(p.width);
    for (int64_t i = 0; i < p.width; ++i) variance += (wide(x[i]) - mean) * (wide(x[i]) - mean);
    const double rstd = 1 / std::sqrt(variance / double(p.width) + p.eps);
    for (int64_t i = 0; i < p.width; ++i)
      y[i] = narrow<T>((wide(x[i]) - mean) * rstd * (gamma ? wide(gamma[i]) : 1) +
                       (beta ? wide(beta[i]) : 0));
    if (p.mean) static_cast<Stat<T>*>(p.mean)[r] = Stat<T>(mean);
    if (p.rstd) static_cast<Stat<T>*>(p.rstd)[r] = Stat<T>(rstd);
  }
}

template <class T>
void layer_norm_backward(const LayerNormBackward& p) {
  const T* gamma = static_cast<const T*>(p.gamma);
  const double n = double(p.width);
  std::vector<double> dgamma(size_t(p.width)), dbeta(size_t(p.width));
  for (int64_t r = 0; r < p.rows; ++r) {
    const T* x = static_cast<const T*>(p.x) + r * p.width;
    const T* dy = static_cast<const T*>(p.dy) + r * p.width;
    const T* residual =
        p.residual_grad ? static_cast<const T*>(p.residual_grad) + r * p.width : nullptr;
    T* dx = static_cast<T*>(p.dx) + r * p.width;
    const double mean = static_cast<const Stat<T>*>(p.mean)[r];
    const double rstd = static_cast<const Stat<T>*>(p.rstd)[r];
    double sum = 0, dot = 0;
    for (int64_t i = 0; i < p.width; ++i) {
      const double g = wide(dy[i]) * (gamma ? wide(gamma[i]) : 1);
      sum += g, dot += g * (wide(x[i]) - mean) * rstd;
    }
    for (int64_t i = 0; i < p.width; ++i) {
      const double h = (wide(x[i]) - mean) * rstd, d = wide(dy[i]);
      dgamma[i] += d * h, dbeta[i] += d;
      const T own = narrow<T>(((gamma ? wide(gamma[i]) : 1) * d - sum / n - h * (dot / n)) * rstd);
      dx[i] = residual ? narrow<T>(wide(own) + wide(residual[i])) : own;
    }
  }
  for (int64_t i = 0; i < p.width; ++i) {
    if (p.dgamma) static_cast<Stat<T>*>(p.dgamma)[i] = Stat<T>(dgamma[i]);
    if (p.dbeta) static_cast<Stat<T>*>(p.dbeta)[i] = Stat<T>(dbeta[i]);
  }
}

template void layer_norm_forward<double>(const LayerNormForward&);
template void layer_norm_forward<float>(const LayerNormForward&);
template void layer_norm_forward<bf16>(const LayerNormForward&);
template void layer_norm_backward<double>(const LayerNormBackward&);
template void layer_norm_backward<float>(const LayerNormBackward&);
template void layer_norm_backward<bf16>(const LayerNormBackward&);

}  // namespace weft::kernels::ref
