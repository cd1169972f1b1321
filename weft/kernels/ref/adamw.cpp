#include "weft/kernels/adamw.h"

#include <cmath>

namespace weft::kernels {

AdamWHyper adamw_hyper(double lr, double beta1, double beta2, int64_t t) {
  AdamWHyper h;
  h.lr = float(lr);
  h.correction1 = float(1 / (1 - std::pow(beta1, double(t))));
  h.correction2 = float(1 / (1 - std::pow(beta2, double(t))));
  return h;
}

namespace ref {

template <class T>
void adamw(const AdamW& p) {
  const double lr = double(p.hyper[0]), correction1 = double(p.hyper[1]),
               correction2 = double(p.hyper[2]);
  const double scale = p.scale ? double(*p.scale) : 1;
  for (int64_t i = 0; i < p.n; ++i) {
    const double param = double(static_cast<const T*>(p.param)[i]);
    const double g = double(static_cast<const T*>(p.grad)[i]) * scale;
    const double m = p.beta1 * double(static_cast<const T*>(p.m)[i]) + (1 - p.beta1) * g;
    const double v = p.beta2 * double(static_cast<const T*>(p.v)[i]) + (1 - p.beta2) * g * g;
    const double u = m * correction1 / (std::sqrt(v * correction2) + p.eps);
    const T next = T(param - lr * (u + p.weight_decay * param));
    static_cast<T*>(p.param_out)[i] = next;
    static_cast<T*>(p.m_out)[i] = T(m);
    static_cast<T*>(p.v_out)[i] = T(v);
    if (p.param_bf16_out) p.param_bf16_out[i] = bf16(float(next));
  }
}

template void adamw<double>(const AdamW&);
template void adamw<float>(const AdamW&);

}  // namespace ref
}  // namespace weft::kernels
