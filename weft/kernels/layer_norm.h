// Layer normalisation (Ba, Kiros and Hinton, arXiv:1607.06450) over the last dimension, forward and
// backward.
#pragma once
#include "weft/kernels/kernel.h"

namespace weft::kernels {

// y = (x - mean) rstd gamma + beta with rstd = 1 / sqrt(variance + eps), the variance being the
// mean of (x - mean)^2, taken in a second pass.
struct LayerNormForward {
  int64_t rows = 0, width = 0;
  DType dtype = DType::f32;     // of x, gamma, beta, y: bf16 or f32; f64 through ref
  const void* x = nullptr;      // [rows, width]
  const void* gamma = nullptr;  // [width], or null: 1
  const void* beta = nullptr;   // [width], or null: 0
  void* y = nullptr;            // [rows, width]; may be x
  void* mean = nullptr;         // [rows] of accumulator(dtype), or null: not wanted
  void* rstd = nullptr;         // [rows] of accumulator(dtype), or null: not wanted
  double eps = 1e-5;
};

// With h = (x - mean) rstd and g = dy gamma: dx = (g - average(g) - h average(g h)) rstd, dgamma =
// sum of dy h over rows, dbeta = sum of dy. Column sums are taken over blocks of 64 rows, the
// blocks added in ascending order.
struct LayerNormBackward {
  int64_t rows = 0, width = 0;
  DType dtype = DType::f32;
  const void* dy = nullptr;     // [rows, width]
  const void* x = nullptr;      // [rows, width]
  const void* gamma = nullptr;  // [width], or null: 1
  const void* mean = nullptr;   // [rows] of accumulator(dtype), as the forward pass wrote it
  const void* rstd = nullptr;   // [rows] of accumulator(dtype)
  const void* residual_grad =
      nullptr;              // [rows, width], or null; added to dx after dx has been rounded
  void* dx = nullptr;       // [rows, width]; may be dy or residual_grad
  void* dgamma = nullptr;   // [width] of accumulator(dtype), overwritten, or null: not wanted
  void* dbeta = nullptr;    // [width] of accumulator(dtype), overwritten, or null: not wanted
  void* scratch = nullptr;  // layer_norm_backward_scratch_bytes; ref needs none
};

constexpr int64_t norm_block_rows = 64;
constexpr int64_t layer_norm_backward_scratch_bytes(int64_t rows, int64_t width) {
  return (rows + norm_block_rows - 1) / norm_block_rows * 2 * width * 4;
}

WEFT_CPU_KERNEL(layer_norm_forward, LayerNormForward)
WEFT_CPU_KERNEL(layer_norm_backward, LayerNormBackward)

namespace ref {
template <class T>
void layer_norm_forward(const LayerNormForward& params);
template <class T>
void layer_norm_backward(const LayerNormBackward& params);
}  // namespace ref

}  // namespace weft::kernels
