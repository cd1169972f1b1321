#include "weft/kernels/rms_norm.h"

#include <cmath>
#include <vector>

#include "weft/kernels/ref/rows.h"

namespace weft::kernels::ref {

template <class T>
void rms_norm_forward(const RmsNormForward& p) {
  const T* gamma = static_cast<const T*>(p.gamma);
  for (int64_t r = 0; r < p.rows; ++r) {
    const T* x = static_cast<const T*>(p.x) + r * p.width;
    T* y = static_cast<T*>(p.y) + r * p.width;
    double square = 0;
    for (int64_t i = 0; i < p.width; ++i) square += wide(x[i]) * wide(x[i]);
    const double rstd = 1 / std::sqrt(square / double(p.width) + p.eps);
    for (int64_t i = 0; i < p.width; ++i)
      y[i] = narrow<T>(wide(x[i]) * rstd * (gamma ? wide(gamma[i]) : 1));
    if (p.rstd) static_cast<Stat<T>*>(p.rstd)[r] = Stat<T>(rstd);
  }
}

template <class T>
void rms_norm_backward(const RmsNormBackward& p) {
  const T* gamma = static_cast<const T*>(p.gamma);
  std::vector<double> dgamma(size_t(p.width));
  for (int64_t r = 0; r < p.rows; ++r) {
    const T* x = static_cast<const T*>(p.x) + r * p.width;
    const T* dy = static_cast<const T*>(p.dy) + r * p.width;
    const T* residual =
        p.residual_grad ? static_cast<const T*>(p.residual_grad) + r * p.width : nullptr;
    T* dx = static_cast<T*>(p.dx) + r * p.width;
    const double rstd = static_cast<const Stat<T>*>(p.rstd)[r];
    double dot = 0;
    for (int64_t i = 0; i < p.width; ++i)
      dot += wide(dy[i]) * (gamma ? wide(gamma[i]) : 1) * wide(x[i]) * rstd;
    for (int64_t i = 0; i < p.width; ++i) {
      const double h = wide(x[i]) * rstd, d = wide(dy[i]);
      dgamma[i] += d * h;
      const T own =
          narrow<T>(((gamma ? wide(gamma[i]) : 1) * d - h * (dot / double(p.width))) * rstd);
      dx[i] = residual ? narrow<T>(wide(own) + wide(residual[i])) : own;
    }
  }
  if (p.dgamma)
    for (int64_t i = 0; i < p.width; ++i) static_cast<Stat<T>*>(p.dgamma)[i] = Stat<T>(dgamma[i]);
}

template void rms_norm_forward<double>(const RmsNormForward&);
template void rms_norm_forward<float>(const RmsNormForward&);
template void rms_norm_forward<bf16>(const RmsNormForward&);
template void rms_norm_backward<double>(const RmsNormBackward&);
template void rms_norm_backward<float>(const RmsNormBackward&);
template void rms_norm_backward<bf16>(const RmsNormBackward&);

}  // namespace weft::kernels::ref
