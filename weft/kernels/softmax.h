// Softmax over the last dimension, forward and backward.
#pragma once
#include "weft/kernels/kernel.h"

namespace weft::kernels {

// y = exp(x - max) (1 / sum of exp(x - max)). A row that holds NaN or +infinity, or only -infinity,
// becomes NaN.
struct SoftmaxForward {
  int64_t rows = 0, width = 0;
  DType dtype = DType::f32;  // of x and y: bf16 or f32; f64 through ref
  const void* x = nullptr;   // [rows, width]
  void* y = nullptr;         // [rows, width]; may be x
};

// dx = (dy - sum of dy y) y.
struct SoftmaxBackward {
  int64_t rows = 0, width = 0;
  DType dtype = DType::f32;
  const void* dy = nullptr;  // [rows, width]
  const void* y = nullptr;   // [rows, width], what the forward pass wrote
  void* dx = nullptr;        // [rows, width]; may be dy
};

WEFT_CPU_KERNEL(softmax_forward, SoftmaxForward)
WEFT_CPU_KERNEL(softmax_backward, SoftmaxBackward)

namespace ref {
template <class T>
void softmax_forward(const SoftmaxForward& params);
template <class T>
void softmax_backward(const SoftmaxBackward& params);
}  // namespace ref

}  // namespace weft::kernels
