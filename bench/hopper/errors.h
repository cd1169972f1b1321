// How far results are from exact ones, in f64: Weft's at most twice as far as the peer's.
#pragma once
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/hopper/device_data.h"
#include "weft/base/error.h"
#include "weft/kernels/attention.h"
#include "weft/kernels/matmul.h"

namespace weft::bench {

// |result - exact| / |exact|.
struct Errors {
  double ours, peer;
  double ratio() const { return ours == peer ? 1 : ours / peer; }
  void check(const std::string& name) const {
    WEFT_CHECK(ours <= 2 * peer, "{}: the error {} is more than twice the peer's {}", name, ours,
               peer);
  }
};

// A row for each result, printed below the rates.
class ErrorTable {
 public:
  void add(const std::string& name, const Errors& e) {
    e.check(name);
    rows_ += format("| {} | {:.2e} | {:.2e} | {:.3f} |\n", name, e.peer, e.ours, e.ratio());
  }
  void print() const {
    if (rows_.empty()) return;
    std::printf("\n| error of one head against f64 | cuDNN | Weft | ratio |\n|---|---|---|---|\n%s",
                rows_.c_str());
  }

 private:
  std::string rows_;
};

// ---- products, at some elements

struct SampledProduct {
  const std::byte *a, *b, *bias, *ours, *peer;  // bias: null, or with GELU behind it
  int64_t a_row, a_col, b_row, b_col, n, m, k;
  int f32;  // results are f32, not bf16
};

inline const char* error_kernel() {
  return R"(
typedef unsigned short u16;
typedef unsigned long long u64;
struct Product {
  const u16 *a, *b, *bias;
  const void *ours, *peer;
  long long a_row, a_col, b_row, b_col, n, m, k;
  int f32;
};
__device__ double wide(u16 v) { return __uint_as_float(unsigned(v) << 16); }
// result: sums of squared errors, ours and the peer's, and of squares.
extern "C" __global__ void __launch_bounds__(256) sampled_errors(Product p, double* result) {
  u64 random = (blockIdx.x + 1) * 0x9e3779b97f4a7c15ull;
  random = (random ^ random >> 30) * 0xbf58476d1ce4e5b9ull;
  const long long row = (random >> 33) % p.m, column = (random & 0x7fffffff) % p.n;
  __shared__ double part[256];
  double sum = 0;
  for (long long i = threadIdx.x; i < p.k; i += 256)
    sum += wide(p.a[row * p.a_row + i * p.a_col]) * wide(p.b[i * p.b_row + column * p.b_col]);
  part[threadIdx.x] = sum;
  for (int half = 128; half; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
  }
  if (threadIdx.x) return;
  double x = part[0];
  if (p.bias) x += wide(p.bias[column]), x *= 0.5 + 0.5 * tanh(0.79788456080286536 * (x + 0.044715 * x * x * x));
  const auto error = [&](const void* c) {
    const long long at = row * p.n + column;
    const double d = (p.f32 ? double(((const float*)c)[at]) : wide(((const u16*)c)[at])) - x;
    return d * d;
  };
  atomicAdd(result, error(p.ours)), atomicAdd(result + 1, error(p.peer)), atomicAdd(result + 2, x * x);
}
)";
}

inline Errors product_errors(CudaDevice& gpu, SampledProduct product) {
  const CudaKernel& kernel = gpu.kernel("sampled_errors", 0, [] {
    cuda::KernelSource source;
    source.name = "sampled_errors", source.text = error_kernel();
    return source;
  });
  const BufferPtr sums = gpu.allocate(3 * sizeof(double));
  gpu.stream().fill(sums->data(), 0, sums->bytes());
  std::byte* to = sums->data();
  void* arguments[] = {&product, &to};
  kernel.launch(gpu.stream(), {4096, 1, 1, 256}, arguments);
  double s[3];
  gpu.copy_to_host(reinterpret_cast<std::byte*>(s), sums->data(), sizeof s);
  return {std::sqrt(s[0] / s[2]), std::sqrt(s[1] / s[2])};
}

// ---- attention, the first head of the first sequence: rows of [length, head_dim]

// From rows of all heads, `width` elements each.
inline std::vector<double> first_head(CudaDevice& gpu, const BufferPtr& rows, int width, int length,
                                      int head_dim) {
  std::vector<bf16> all(size_t(width) * size_t(length));
  gpu.copy_to_host(reinterpret_cast<std::byte*>(all.data()), rows->data(), all.size() * 2);
  std::vector<double> head;
  for (int i = 0; i < length; ++i)
    for (int j = 0; j < head_dim; ++j)
      head.push_back(double(float(all[size_t(i) * size_t(width) + size_t(j)])));
  return head;
}

inline double error_of(const std::vector<double>& x, const std::vector<double>& exact) {
  double error = 0, all = 0;
  for (size_t i = 0; i < x.size(); ++i)
    error += (x[i] - exact[i]) * (x[i] - exact[i]), all += exact[i] * exact[i];
  return std::sqrt(error / all);
}

// One head of one sequence by itself.
struct ExactAttention {
  kernels::AttentionSegment segment;
  kernels::AttentionShape shape;
  std::vector<double> q, k, v;

  ExactAttention(const kernels::AttentionShape& of, int length) : segment{0, length, 0, length} {
    shape.q_rows = shape.kv_rows = length, shape.q_heads = shape.kv_heads = 1;
    shape.head_dim = of.head_dim, shape.causal = of.causal, shape.scale = of.scale;
    shape.segments = &segment, shape.segment_count = 1, shape.dtype = DType::f64;
  }
  ExactAttention(const ExactAttention&) = delete;  // `shape` points into it

  template <class Rows>
  Rows rows(auto& x) const {
    return {x.data(), shape.head_dim, shape.head_dim};
  }
  std::vector<double> o() const {
    using In = kernels::ConstHeadRows;
    std::vector<double> result(q.size());
    kernels::AttentionForward p;
    p.shape = shape, p.q = rows<In>(q), p.k = rows<In>(k), p.v = rows<In>(v);
    p.o = rows<kernels::HeadRows>(result);
    kernels::ref::attention_forward<double>(p);
    return result;
  }
  void gradients(const std::vector<double>& d_o, std::vector<double>& dq, std::vector<double>& dk,
                 std::vector<double>& dv) const {
    using In = kernels::ConstHeadRows;
    using Out = kernels::HeadRows;
    for (auto* x : {&dq, &dk, &dv}) x->resize(q.size());
    kernels::AttentionBackward p;
    p.shape = shape, p.q = rows<In>(q), p.k = rows<In>(k), p.v = rows<In>(v);
    p.d_o = rows<In>(d_o), p.dq = rows<Out>(dq), p.dk = rows<Out>(dk), p.dv = rows<Out>(dv);
    kernels::ref::attention_backward<double>(p);
  }
};

}  // namespace weft::bench
