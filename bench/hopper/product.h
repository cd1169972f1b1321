// Products on a Hopper GPU beside cuBLASLt, and beside other schedules: each --try, or the best by
// estimate of all that there are, which is how rows of the table of tilings are found.
#pragma once
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/hopper/cublaslt.h"
#include "bench/hopper/device_data.h"
#include "bench/hopper/errors.h"
#include "bench/hopper/flags.h"
#include "weft/kernels/cuda/matmul.h"

namespace weft::bench {

using kernels::Matmul;
using kernels::cuda::MatmulSchedule;

// y[m][n] = x[m][k] w[n][k] turned.
struct Shape {
  int64_t m, n, k;
};
constexpr Shape product_shapes[] = {{4096, 4096, 4096},  {8192, 8192, 8192}, {8192, 28672, 8192},
                                    {8192, 4096, 14336}, {65536, 2304, 768}, {65536, 768, 3072},
                                    {65536, 50304, 768}};

// "3": the fourth of these; "128x4096x4096": that one.
inline Shape shape_of(const std::string& text) {
  long long m = 0, n = 0, k = 0;
  if (std::sscanf(text.c_str(), "%lldx%lldx%lld", &m, &n, &k) == 3) return {m, n, k};
  return product_shapes[size_t(std::atoi(text.c_str())) % std::size(product_shapes)];
}

// Forms: f forward, d input gradient, w weight gradient added into f32; forward with an epilogue: g
// bias and GELU, s the same with its slope kept, r residual, h SwiGLU, k the same with its slopes
// kept; input gradient times slope: t of GELU, i of SwiGLU.
inline bool is_input_gradient(char form) {
  return form == 'd' || form == 't' || form == 'i';
}
inline bool has_epilogue(char form) {
  return form != 'f' && form != 'd' && form != 'w';
}

// One form of one shape; operands in as many sets as make repeated runs miss L2.
struct Case {
  Shape shape;
  char form;
  Matmul p;
  std::vector<BufferPtr> a, b, c;
  BufferPtr beside, scratch;  // what the epilogue reads or writes

  Case(CudaDevice& gpu, const Shape& s, char f) : shape(s), form(f) {
    p.out = f == 'w' ? DType::f32 : DType::bf16;
    p.accumulate = f == 'w';
    if (is_input_gradient(f)) {  // dx[m][k] = dy[m][n] w[n][k]
      p.m = s.m, p.n = s.k, p.k = s.n;
      p.a = {nullptr, s.n, 1}, p.b = {nullptr, s.k, 1};
    } else if (f == 'w') {  // dw[n][k] += dy[m][n] turned, x[m][k]
      p.m = s.n, p.n = s.k, p.k = s.m;
      p.a = {nullptr, 1, s.n}, p.b = {nullptr, s.k, 1};
    } else {
      p.m = s.m, p.n = s.n, p.k = s.k;
      p.a = {nullptr, s.k, 1}, p.b = {nullptr, 1, s.k};
    }
    p.c_row_stride = p.n;
    const int64_t bytes = 2 * (p.m * p.k + p.n * p.k), columns = f == 'i' ? 2 * p.n : p.n;
    const int sets = int(std::clamp<int64_t>(gpu.l2_bytes() * 4 / bytes, 1, 8)) + 1;
    for (int i = 0; i < sets; ++i) {
      a.push_back(random_bf16(gpu, p.m * p.k, uint64_t(2 * i + 1)));
      b.push_back(random_bf16(gpu, p.n * p.k, uint64_t(2 * i + 2)));
    }
    for (int i = 0; i < 2; ++i) {
      c.push_back(gpu.allocate(size_t(p.m * columns * (f == 'w' ? 4 : 2))));
      gpu.stream().fill(c.back()->data(), f == 'w' ? 0 : 0xff, c.back()->bytes());
    }
    beside = random_bf16(gpu, p.m * columns, 99);
    scratch = gpu.allocate(size_t(1) << 20);
    p.scratch = scratch->data();
  }
  // Of set i, into result r: the product alone.
  Matmul plain(int i, int r) const {
    Matmul q = p;
    const size_t set = size_t(i) % a.size();
    q.a.data = a[set]->data(), q.b.data = b[set]->data(), q.c = c[size_t(r)]->data();
    return q;
  }
  Matmul params(int i, int r) const {
    Matmul q = plain(i, r);
    if (form == 'g' || form == 's') q.bias = beside->data(), q.activation = Matmul::gelu_tanh;
    if (form == 's' || form == 't') q.slope = beside->data();
    if (form == 't') q.activation = Matmul::times_slope;
    if (form == 'r') q.residual = beside->data(), q.residual_row_stride = q.n;
    if (form == 'h' || form == 'k') q.activation = Matmul::swiglu, q.c_row_stride = q.n / 2;
    if (form == 'k' || form == 'i') q.slope = beside->data(), q.slope_row_stride = q.n;
    if (form == 'i')
      q.activation = Matmul::swiglu_gradient, q.c_row_stride = q.slope_row_stride = 2 * q.n;
    return q;
  }
  double flops() const { return 2.0 * double(p.m) * double(p.n) * double(p.k); }
};

struct ProductOptions {
  std::vector<std::string> shapes{"0", "1", "2", "3", "4", "5", "6"}, forms{"f", "d", "w", "g"};
  std::vector<std::string> tries;  // changes of the shipped schedule, each a column more
  int tune = 0;                    // how many other schedules are measured, the likeliest first
  int rounds = 5;
};

// Prints our error over the peer's, and how far ours is from the peer's; what the peer cannot do is
// left to the tests.
inline void check_equal(CudaDevice& gpu, const Case& x, const LtMatmul& peer) {
  if (has_epilogue(x.form) && x.form != 'g') return void(std::printf(" | | |"));
  if (x.form == 'w')
    for (const BufferPtr& c : x.c) gpu.stream().fill(c->data(), 0, c->bytes());
  peer.run(gpu.stream(), x.params(0, 0));
  kernels::cuda::matmul(gpu.stream(), x.params(0, 1));
  gpu.stream().synchronize();
  const Difference d = difference(gpu, x.c[0], x.c[1], x.p.m * x.p.n, x.form == 'w');
  WEFT_CHECK(d.relative < 1e-2, "results differ by {} from cuBLASLt's", d.relative);
  const Matmul p = x.params(0, 1);
  const auto bytes = [](const void* data) { return static_cast<const std::byte*>(data); };
  const Errors errors =
      product_errors(gpu, {bytes(p.a.data), bytes(p.b.data), bytes(p.bias), x.c[1]->data(),
                           x.c[0]->data(), p.a.row_stride, p.a.col_stride, p.b.row_stride,
                           p.b.col_stride, p.n, p.m, p.k, x.form == 'w'});
  errors.check("the product");
  std::printf(" | %.1e | %.3f | %.4f%%", errors.ours, errors.ratio(), d.bits * 100);
}

// TFLOP/s.
inline std::vector<double> rates(CudaDevice& gpu, const Case& x, const std::vector<Run>& runs,
                                 int rounds) {
  constexpr double wanted_seconds = 0.012;
  const int launches = int(std::clamp(wanted_seconds * 700e12 / x.flops(), 2.0, 100.0));
  for (const Run& run : runs) run(0);  // compiled before the capture
  std::vector<double> result;
  for (const double t : in_turns(gpu.stream(), runs, launches, rounds))
    result.push_back(x.flops() / t / 1e9);
  return result;
}

inline MatmulSchedule changed(MatmulSchedule s, const std::string& changes) {
  set_fields({{"tile_m", &s.tile_m},
              {"tile_n", &s.tile_n},
              {"stages", &s.stages},
              {"cluster_m", &s.cluster_m},
              {"cluster_n", &s.cluster_n},
              {"group", &s.group},
              {"store_units", &s.store_units}},
             changes);
  return s;
}

// What is measured beside what ships.
inline std::vector<MatmulSchedule> schedules(CudaDevice& gpu, const Case& x,
                                             const ProductOptions& o) {
  const Matmul p = x.params(0, 0);
  const MatmulSchedule shipped = kernels::cuda::matmul_schedule(p, gpu.multiprocessors());
  std::vector<MatmulSchedule> all;
  for (const std::string& text : o.tries) all.push_back(changed(shipped, text));
  int more = o.tune;
  for (const MatmulSchedule& s : kernels::cuda::matmul_candidates(p, gpu.multiprocessors()))
    if (more > 0 && s != shipped) all.push_back(s), --more;
  return all;
}

// A product and what would be a row of the table of tilings, the fastest first.
inline void print_tuned(const Case& x, const std::vector<MatmulSchedule>& tried,
                        const std::vector<double>& rates, double shipped, double peer) {
  std::vector<std::pair<double, MatmulSchedule>> sorted;
  for (size_t i = 0; i < tried.size(); ++i) sorted.emplace_back(rates[i], tried[i]);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [rate, s] : sorted)
    std::printf(
        "    {%lld, %lld, %lld, {%d, %d, %d, %d}},  // %.0f, %.3f of shipped, %.3f of peer\n",
        (long long)x.p.m, (long long)x.p.n, (long long)x.p.k, s.tile_m, s.tile_n, s.cluster_m,
        s.cluster_n, rate, rate / shipped, rate / peer);
}

inline void measure(CudaDevice& gpu, const CublasLt& lt, const Case& x, const ProductOptions& o,
                    Ratios& ratios) {
  CudaStream& stream = gpu.stream();
  const LtMatmul peer(lt, stream, x.form == 'g' ? x.params(0, 0) : x.plain(0, 0));
  const std::vector<MatmulSchedule> tried = schedules(gpu, x, o);
  std::vector<Run> runs{[&](int i) { peer.run(stream, x.plain(i, 0)); },
                        [&](int i) { kernels::cuda::matmul(stream, x.params(i, 0)); }};
  for (const MatmulSchedule& s : tried)
    runs.push_back([&x, &stream, s](int i) { kernels::cuda::matmul(stream, x.params(i, 0), s); });
  if (has_epilogue(x.form))
    runs.push_back([&](int i) { kernels::cuda::matmul(stream, x.plain(i, 0)); });
  std::printf("| %lldx%lldx%lld | %c", (long long)x.shape.m, (long long)x.shape.n,
              (long long)x.shape.k, x.form);
  check_equal(gpu, x, peer);
  const std::vector<double> r = rates(gpu, x, runs, o.rounds);
  std::printf(" | %.0f | %.0f | %.3f | ", r[0], r[1], r[1] / r[0]);
  if (has_epilogue(x.form)) std::printf("%.3f", r[1] / r.back());
  const std::vector<double> other(r.begin() + 2, r.end());
  for (size_t i = 0; i < o.tries.size(); ++i)
    std::printf(" | %.0f (%.3f)", other[i], other[i] / r[0]);
  std::printf(" |\n");
  if (o.tune > 0) print_tuned(x, tried, other, r[1], r[0]);
  std::fflush(stdout);
  ratios.add(has_epilogue(x.form) ? format("form {}", x.form) : "plain", r[1] / r[0]);
}

inline void measure_matmul(CudaDevice& gpu, const ProductOptions& o) {
  CublasLt lt;
  if (!lt.load()) resource_error("libcublasLt was not found; it is what this measures against");
  std::printf(
      "| m x n x k | form | error | of cuBLASLt's | other bits | cuBLASLt | Weft | ratio | of "
      "plain |");
  for (const std::string& t : o.tries) std::printf(" %s |", t.c_str());
  std::printf("\n|---|---|---|---|---|---|---|---|---|");
  for (size_t i = 0; i < o.tries.size(); ++i) std::printf("---|");
  std::printf("\n");
  Ratios ratios;
  for (const std::string& shape : o.shapes)
    for (const std::string& form : o.forms)
      measure(gpu, lt, Case(gpu, shape_of(shape), form[0]), o, ratios);
  ratios.print();
}

}  // namespace weft::bench
