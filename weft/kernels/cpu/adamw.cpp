#include "weft/kernels/adamw.h"

#include "weft/kernels/cpu/rows.h"

namespace weft::kernels::cpu::WEFT_ISA {

void adamw(CpuStream& stream, const AdamW& p) {
  const F32x16 scale = p.scale ? *p.scale : 1.0f;
  const F32x16 lr = p.hyper[0], correction1 = p.hyper[1], correction2 = p.hyper[2];
  const F32x16 beta1 = float(p.beta1), rest1 = float(1 - p.beta1);
  const F32x16 beta2 = float(p.beta2), rest2 = float(1 - p.beta2);
  const F32x16 eps = float(p.eps), decay = float(p.weight_decay);
  stream.parallel_for(p.n, 1024, [&](int64_t begin, int64_t end) {
    const float* param_in = static_cast<const float*>(p.param) + begin;
    const float* m_in = static_cast<const float*>(p.m) + begin;
    const float* v_in = static_cast<const float*>(p.v) + begin;
    const float* grad = static_cast<const float*>(p.grad) + begin;
    each_step(end - begin, [&](int64_t i, auto k) WEFT_INLINE {
      const F32x16 g = load(grad + i, k) * scale, param = load(param_in + i, k);
      const F32x16 m = fma(beta1, load(m_in + i, k), rest1 * g);
      const F32x16 v = fma(beta2, load(v_in + i, k), rest2 * g * g);
      const F32x16 u = (m * correction1) / (sqrt(v * correction2) + eps);
      const F32x16 next = fnma(lr, fma(decay, param, u), param);
      store(next, static_cast<float*>(p.param_out) + begin + i, k);
      store(m, static_cast<float*>(p.m_out) + begin + i, k);
      store(v, static_cast<float*>(p.v_out) + begin + i, k);
      if (p.param_bf16_out) store(next, p.param_bf16_out + begin + i, k);
    });
  });
}

}  // namespace weft::kernels::cpu::WEFT_ISA
