#include "weft/kernels/cuda/matmul_checks.h"

#include <algorithm>
#include <limits>

#include "weft/base/error.h"

namespace weft::kernels::cuda {
namespace {

// C, and what the epilogue reads or writes beside it.
void check_result(const void* data, int64_t row_stride, int64_t batch_stride, const Matmul& p,
                  const char* name) {
  constexpr int64_t granule = 16;
  const auto odd = [&](int64_t stride) { return stride * int64_t(dtype_size(p.out)) % granule; };
  if (reinterpret_cast<uintptr_t>(data) % granule != 0 || (p.m > 1 && odd(row_stride)) ||
      (p.batch > 1 && odd(batch_stride)))
    user_error(
        "{}: {} must lie at a multiple of {} bytes, and so must its rows, got a stride of {}",
        matmul_name(p), name, granule, row_stride);
}

// Where SwiGLU's halves begin: a granule, as rows do.
void check_swiglu(const Matmul& p, const std::string& name) {
  const bool gradient = p.activation == Matmul::swiglu_gradient;
  const int64_t granule = 16 / int64_t(dtype_size(p.out)) * (gradient ? 1 : 2);
  const int64_t slopes = gradient ? 2 * p.n : p.n;
  if (p.batch != 1) user_error("{}: swiglu takes one matrix, got {}", name, p.batch);
  if (p.residual) user_error("{}: swiglu takes no residual", name);
  if (p.n % granule != 0)
    user_error("{}: expected a multiple of {} columns for {}, got {}", name, granule,
               gradient ? "swiglu's gradient" : "swiglu's gates and ups", p.n);
  if (p.slope && p.slope_row_stride < slopes)
    user_error("{}: expected rows of swiglu's slope to be at least {} apart, got {}", name, slopes,
               p.slope_row_stride);
}

void check_epilogue(const Matmul& p, const std::string& name) {
  const MatmulEpilogue e = epilogue_of(p);
  const bool gradient = e.times_slope || e.swiglu_gradient;
  if (p.accumulate && e != MatmulEpilogue())
    user_error("{}: a sum that is added to C takes no bias, activation or residual", name);
  if (gradient && !p.slope)
    user_error("{}: {} wants a slope", name, e.times_slope ? "times_slope" : "swiglu_gradient");
  if (gradient && (e.bias || e.residual))
    user_error("{}: a gradient takes no bias and no residual", name);
  if (is_swiglu(e)) check_swiglu(p, name);
  if (p.slope)
    check_result(p.slope, is_swiglu(e) ? p.slope_row_stride : p.c_row_stride, p.c_batch_stride, p,
                 "slope");
  if (p.residual)
    check_result(p.residual, p.residual_row_stride, p.residual_batch_stride, p, "residual");
}

}  // namespace

std::string matmul_name(const Matmul& p) {
  return format("matmul {}{}x{}x{}", p.batch == 1 ? "" : format("{}x", p.batch), p.m, p.n, p.k);
}

weft::cuda::Element element_of(DType type) {
  using weft::cuda::Element;
  return type == DType::f32 ? Element::f32 : type == DType::f16 ? Element::f16 : Element::bf16;
}

MatmulEpilogue epilogue_of(const Matmul& p) {
  MatmulEpilogue e;
  e.bias = p.bias != nullptr;
  e.gelu = p.activation == Matmul::gelu_tanh;
  e.swiglu = p.activation == Matmul::swiglu;
  e.keep_slope = (e.gelu || e.swiglu) && p.slope;
  e.times_slope = p.activation == Matmul::times_slope;
  e.swiglu_gradient = p.activation == Matmul::swiglu_gradient;
  e.residual = p.residual != nullptr;
  return e;
}

std::string epilogue_text(const MatmulEpilogue& e) {
  return format("{{{}, {}, {}, {}, {}, {}, {}}}", e.bias, e.gelu, e.keep_slope, e.times_slope,
                e.residual, e.swiglu, e.swiglu_gradient);
}

void check_matmul(const Matmul& p) {
  const std::string name = matmul_name(p);
  if ((p.in != DType::bf16 && p.in != DType::f16) || (p.out != p.in && p.out != DType::f32))
    user_error("{}: on the GPU operands are bf16 or f16 and results the same or f32, got {} and {}",
               name, dtype_name(p.in), dtype_name(p.out));
  if (p.a.packed || p.b.packed) user_error("{}: packed operands are for the CPU", name);
  if (p.accumulate && p.out != DType::f32)
    user_error("{}: a sum is added to C in f32 only, got {}", name, dtype_name(p.out));
  if (p.k < 1 || std::max({p.m, p.n, p.k, p.batch}) > std::numeric_limits<int>::max() - 1024)
    user_error("{}: expected k of at least 1 and each size below 2^31", name);
  check_result(p.c, p.c_row_stride, p.c_batch_stride, p, "C");
  check_epilogue(p, name);
}

MatmulArguments matmul_arguments(const Matmul& p) {
  MatmulArguments a{};
  a.m = int(p.m), a.n = int(p.n), a.k = int(p.k), a.batch = int(p.batch), a.slabs = 1;
  a.a_matrices = p.a.batch_stride == 0 ? 1 : a.batch;
  a.b_matrices = p.b.batch_stride == 0 ? 1 : a.batch;
  a.progress = static_cast<int*>(p.scratch);
  a.scale = p.scale;
  a.bias = p.bias;
  return a;
}

}  // namespace weft::kernels::cuda
