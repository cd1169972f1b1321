// AdamW (Loshchilov and Hutter, arXiv:1711.05101, Algorithm 2): Adam with decoupled weight decay,
// over one tensor.
#pragma once
#include "weft/kernels/kernel.h"

namespace weft::kernels {

// What changes from step to step, on the device, so that a compiled step need not.
struct AdamWHyper {
  float lr = 0;
  float correction1 = 1, correction2 = 1;  // 1 / (1 - beta1^t), 1 / (1 - beta2^t), t from 1
  float unused = 0;
};

// Per element, each line one or two rounded operations in this order (fma(a, b, c) = a b + c
// rounded once):
//   g = grad scale
//   m' = fma(beta1, m, (1 - beta1) g)
//   v' = fma(beta2, v, ((1 - beta2) g) g)
//   u = (m' correction1) / (sqrt(v' correction2) + eps)
//   param' = param - lr fma(weight_decay, param, u), the product and the difference fused
// The outputs may be the inputs. Give weight_decay 0 for tensors that do not decay.
struct AdamW {
  int64_t n = 0;
  DType dtype = DType::f32;        // of param, m, v, grad and their outputs; f64 through ref
  const void* param = nullptr;     // [n] master weights
  const void* m = nullptr;         // [n] average of g
  const void* v = nullptr;         // [n] average of g^2
  const void* grad = nullptr;      // [n]
  const float* scale = nullptr;    // scalar: what clipping multiplies grad by, or null: 1
  const float* hyper = nullptr;    // [4]: an AdamWHyper
  void* param_out = nullptr;       // [n]
  void* m_out = nullptr;           // [n]
  void* v_out = nullptr;           // [n]
  bf16* param_bf16_out = nullptr;  // [n] param_out rounded, or null: not wanted
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0;
};

WEFT_CPU_KERNEL(adamw, AdamW)

// The values of step t, t from 1.
AdamWHyper adamw_hyper(double lr, double beta1, double beta2, int64_t t);

namespace ref {
// T: float or double.
template <class T>
void adamw(const AdamW& params);
}  // namespace ref

}  // namespace weft::kernels
