// One product with its operands on the host, on the GPU and by the f64 reference.
#pragma once
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "weft/kernels/cuda/gpu_testing.h"
#include "weft/kernels/cuda/matmul.h"
#include "weft/kernels/row_testing.h"

namespace weft::kernels::cuda {

constexpr int64_t round8(int64_t n) {
  return (n + 7) / 8 * 8;
}
// Rows of C: 16 bytes longer than the copy engine writes.
constexpr int64_t c_row(int64_t n) {
  return round8(n) + 8;
}

// Operands of type T; rows are padded to multiples of 8 elements. Of SwiGLU slope's rows are as
// long as those of C of its gradient.
template <class T>
struct Product {
  int64_t m, n, k;
  bool a_turned = false, b_turned = false, f32 = false, add = false, bias = false, gelu = false;
  bool keep = false, times = false, residual = false, swiglu = false, swiglu_gradient = false;
  float scale = 1;
  int64_t batch = 1;
  bool one_b = false;  // for all of the batch
  std::vector<T> a{}, b{}, bias_values{};
  std::vector<float> start{}, slopes{}, beside{};  // C and slope before; the residual

  int64_t a_size() const { return a_turned ? k * round8(m) : m * round8(k); }
  int64_t b_size() const { return b_turned ? k * round8(n) : n * round8(k); }
  int64_t c_columns() const { return swiglu ? n / 2 : swiglu_gradient ? 2 * n : n; }
  int64_t slope_columns() const { return swiglu ? n : c_columns(); }
  int64_t c_size() const { return m * c_row(c_columns()); }
  int64_t slope_size() const { return m * c_row(slope_columns()); }
  int64_t residual_row() const { return c_row(n) + 16; }

  void fill(int seed) {
    using testing::normal;
    a = normal<T>(batch * a_size(), uint64_t(seed));
    b = normal<T>((one_b ? 1 : batch) * b_size(), uint64_t(seed) + 1);
    bias_values = normal<T>(n, uint64_t(seed) + 2);
    start = normal<float>(batch * c_size(), uint64_t(seed) + 3);
    slopes = normal<float>(batch * slope_size(), uint64_t(seed) + 5);
    beside = normal<float>(batch * m * residual_row(), uint64_t(seed) + 4);
  }
  // Without the pointers to what lies beside A and B.
  Matmul params() const {
    Matmul p;
    p.batch = batch, p.m = m, p.n = n, p.k = k;
    p.in = dtype_of<T>::value;
    p.out = f32 ? DType::f32 : p.in;
    p.a.data = a.data(), p.b.data = b.data();
    (a_turned ? p.a.col_stride : p.a.row_stride) = round8(a_turned ? m : k);
    (a_turned ? p.a.row_stride : p.a.col_stride) = 1;
    (b_turned ? p.b.row_stride : p.b.col_stride) = round8(b_turned ? n : k);
    (b_turned ? p.b.col_stride : p.b.row_stride) = 1;
    p.a.batch_stride = a_size(), p.b.batch_stride = one_b ? 0 : b_size();
    p.c_row_stride = c_row(c_columns()), p.c_batch_stride = c_size();
    p.slope_row_stride = c_row(slope_columns());
    p.scale = scale;
    p.residual_row_stride = residual_row(), p.residual_batch_stride = m * residual_row();
    p.accumulate = add;
    p.activation = times             ? Matmul::times_slope
                   : gelu            ? Matmul::gelu_tanh
                   : swiglu          ? Matmul::swiglu
                   : swiglu_gradient ? Matmul::swiglu_gradient
                                     : Matmul::none;
    return p;
  }
  std::string name() const {
    std::string text = format("{} {}x{}x{}x{}", dtype_name(dtype_of<T>::value), batch, m, n, k);
    const std::pair<bool, const char*> parts[] = {
        {a_turned, " A turned"}, {b_turned, " B turned"}, {f32, " f32"},
        {add, " add"},           {bias, " bias"},         {keep, " slope"},
        {gelu, " gelu"},         {times, " times slope"}, {residual, " residual"},
        {one_b, " one B"},       {swiglu, " swiglu"},     {swiglu_gradient, " swiglu gradient"}};
    for (const auto& [there, word] : parts)
      if (there) text += word;
    return scale == 1 ? text : text + format(" scale {}", scale);
  }
};

template <class Out>
struct Result {
  std::vector<Out> c, slope;
};

template <class Out>
std::vector<Out> converted(const std::vector<float>& values) {
  std::vector<Out> result;
  for (const float v : values) result.push_back(Out(v));
  return result;
}

// What `run` makes of the operands: C is poisoned with NaN where it is not the start of a sum, and
// so is slope where it is not read.
template <class Out, class T, class Run>
Result<Out> computed(CudaDevice& gpu, const Product<T>& x, Run&& run) {
  const bool reads_slope = x.times || x.swiglu_gradient;
  std::vector<Out> poison(std::max(x.start.size(), x.slopes.size()));
  std::memset(static_cast<void*>(poison.data()), 0xff, poison.size() * sizeof(Out));
  const std::vector<Out> start = converted<Out>(x.start);
  const BufferPtr a = upload(gpu, x.a), b = upload(gpu, x.b), bias = upload(gpu, x.bias_values),
                  c = upload(gpu, x.add ? start : poison),
                  pre = upload(gpu, reads_slope ? converted<Out>(x.slopes) : poison),
                  residual = upload(gpu, converted<Out>(x.beside));
  Matmul p = x.params();
  p.a.data = a->data(), p.b.data = b->data(), p.c = c->data();
  if (x.bias) p.bias = bias->data();
  if (x.keep || reads_slope) p.slope = pre->data();
  if (x.residual) p.residual = residual->data();
  run(p);
  return {download<Out>(gpu, c, start.size()), download<Out>(gpu, pre, x.slopes.size())};
}

template <class Out, class T>
Result<Out> on_gpu(CudaDevice& gpu, const Product<T>& x, const MatmulSchedule* schedule = nullptr) {
  return computed<Out>(gpu, x, [&](Matmul p) {
    const MatmulSchedule s = schedule ? *schedule : matmul_schedule(p, gpu.multiprocessors());
    const BufferPtr scratch = gpu.allocate(matmul_scratch_bytes(p, s));
    p.scratch = scratch->data();
    matmul(gpu.stream(), p, s);
    gpu.stream().synchronize();
  });
}

// The reference's results, from the operands as the GPU gets them.
template <class Out, class T>
Result<double> wanted(const Product<T>& x) {
  const auto wide = [](const auto& values) {
    std::vector<double> result;
    for (const auto v : values) result.push_back(double(float(v)));
    return result;
  };
  const std::vector<double> a = wide(x.a), b = wide(x.b), bias = wide(x.bias_values),
                            residual = wide(converted<Out>(x.beside));
  Result<double> r;
  r.c = wide(converted<Out>(x.start)), r.slope = wide(converted<Out>(x.slopes));
  Matmul p = x.params();
  p.in = p.out = DType::f64;
  p.a.data = a.data(), p.b.data = b.data(), p.c = r.c.data();
  if (x.bias) p.bias = bias.data();
  if (x.keep || x.times || x.swiglu_gradient) p.slope = r.slope.data();
  if (x.residual) p.residual = residual.data();
  ref::matmul<double>(p);
  return r;
}

// |got - want| / |want| over the elements of C or slope, whose rows are `columns` long, and that
// nothing was written beside their granules.
template <class Out, class T>
double error_of(const Product<T>& x, int64_t columns, const std::vector<Out>& got,
                const std::vector<double>& want) {
  double difference = 0, size = 0;
  for (int64_t i = 0; i < x.batch * x.m; ++i)
    for (int64_t j = 0; j < c_row(columns); ++j) {
      const size_t at = size_t(i * c_row(columns) + j);
      if (j >= round8(columns)) {
        EXPECT_TRUE(x.add ? float(got[at]) == x.start[at] : std::isnan(float(got[at])))
            << x.name() << ": wrote outside of C";
      }
      if (j >= columns) continue;
      difference += std::pow(double(float(got[at])) - want[at], 2);
      size += std::pow(want[at], 2);
    }
  return std::sqrt(difference / std::max(size, 1e-30));
}

template <class Out, class T>
void expect_right(CudaDevice& gpu, Product<T> x) {
  x.fill(int(x.m * 3 + x.n * 5 + x.k));
  const Result<Out> got = on_gpu<Out>(gpu, x), again = on_gpu<Out>(gpu, x);
  const Result<double> want = wanted<Out>(x);
  // A rounding to bf16 is 1.7e-3; SwiGLU rounds gate and up before.
  const double wider = x.swiglu ? 5.0 / 3 : 1;
  const double limit = wider * (std::is_same_v<Out, bf16>  ? 3e-3
                                : std::is_same_v<Out, f16> ? 5e-4
                                                           : 2e-6 * std::sqrt(double(x.k)) + 1e-6);
  EXPECT_LT(error_of(x, x.c_columns(), got.c, want.c), limit) << x.name();
  if (x.keep) {
    EXPECT_LT(error_of(x, x.slope_columns(), got.slope, want.slope), limit) << x.name();
  }
  EXPECT_TRUE(same_bits(got.c, again.c)) << x.name() << ": two runs differ";
  EXPECT_TRUE(same_bits(got.slope, again.slope)) << x.name();
}

}  // namespace weft::kernels::cuda
