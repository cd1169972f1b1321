// Root mean square normalisation (Zhang and Sennrich, arXiv:1910.07467) over the last dimension.
#pragma once
#include "weft/kernels/layer_norm.h"

namespace weft::kernels {

// y = x rstd gamma with rstd = 1 / sqrt(average(x^2) + eps); one rounding, at the end.
struct RmsNormForward {
  int64_t rows = 0, width = 0;
  DType dtype = DType::f32;     // of x, gamma, y: bf16 or f32; f64 through ref
  const void* x = nullptr;      // [rows, width]
  const void* gamma = nullptr;  // [width], or null: 1
  void* y = nullptr;            // [rows, width]; may be x
  void* rstd = nullptr;         // [rows] of accumulator(dtype), or null: not wanted
  double eps = 1e-5;
};

// With h = x rstd and g = dy gamma: dx = (g - h average(g h)) rstd, dgamma = sum of dy h over rows,
// in blocks of 64 rows added in ascending order.
struct RmsNormBackward {
  int64_t rows = 0, width = 0;
  DType dtype = DType::f32;
  const void* dy = nullptr;     // [rows, width]
  const void* x = nullptr;      // [rows, width]
  const void* gamma = nullptr;  // [width], or null: 1
  const void* rstd = nullptr;   // [rows] of accumulator(dtype)
  const void* residual_grad =
      nullptr;              // [rows, width], or null; added to dx after dx has been rounded
  void* dx = nullptr;       // [rows, width]; may be dy or residual_grad
  void* dgamma = nullptr;   // [width] of accumulator(dtype), overwritten, or null: not wanted
  void* scratch = nullptr;  // rms_norm_backward_scratch_bytes; ref needs none
};

constexpr int64_t rms_norm_backward_scratch_bytes(int64_t rows, int64_t width) {
  return layer_norm_backward_scratch_bytes(rows, width);
}

WEFT_CPU_KERNEL(rms_norm_forward, RmsNormForward)
WEFT_CPU_KERNEL(rms_norm_backward, RmsNormBackward)

namespace ref {
template <class T>
void rms_norm_forward(const RmsNormForward& params);
template <class T>
void rms_norm_backward(const RmsNormBackward& params);
}  // namespace ref

}  // namespace weft::kernels
