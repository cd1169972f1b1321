// The matrix product on a Hopper GPU beside cuBLASLt (the best of its heuristics) in the same
// process, on random data, in graphs over buffers larger than L2, in alternation; medians.
//   bench_hopper [--shapes 0,1,...,128x4096x4096] [--forms f,d,w,g] [--rounds 5] [--try
//   tile_n=128,stages=6,...]...
// Forms: f forward, d input gradient, w weight gradient added into f32, g forward with bias and
// GELU. Each --try adds a column with the shipped schedule changed in these fields. Then attention
// of the head sizes in --heads, with the shipped chunk and those of --chunks, and its gradients for
// those in --backward ("none": not at all), beside cuDNN's (--cudnn: another file than
// libcudnn.so.9); decode over a paged cache (--decode none) and products with few rows (--skinny
// none), with --try-skinny as --try.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "bench/hopper/attention.h"
#include "bench/hopper/cublaslt.h"
#include "bench/hopper/device_data.h"
#include "bench/hopper/paged.h"
#include "bench/hopper/skinny.h"
#include "bench/hopper/timing.h"
#include "weft/kernels/cuda/matmul.h"
#include "weft_version.h"

namespace weft::bench {
namespace {

using kernels::Matmul;
using kernels::cuda::MatmulSchedule;
using kernels::cuda::SkinnySchedule;

// y[m][n] = x[m][k] w[n][k] turned.
struct Shape {
  int64_t m, n, k;
};
constexpr Shape shapes[] = {{4096, 4096, 4096},  {8192, 8192, 8192}, {8192, 28672, 8192},
                            {8192, 4096, 14336}, {65536, 2304, 768}, {65536, 768, 3072},
                            {65536, 50304, 768}};

// "3": the fourth of these; "128x4096x4096": that one.
Shape shape_of(const std::string& text) {
  long long m = 0, n = 0, k = 0;
  if (std::sscanf(text.c_str(), "%lldx%lldx%lld", &m, &n, &k) == 3) return {m, n, k};
  return shapes[size_t(std::atoi(text.c_str())) % std::size(shapes)];
}

struct Options {
  std::string shapes = "0,1,2,3,4,5,6", forms = "f,d,w,g", heads = "64,128", chunks,
              backward_heads = "64,128", cudnn = "libcudnn.so.9";
  std::vector<std::string> tries, skinny_tries;
  int rounds = 5;
  bool decode = true, skinny = true;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--shapes")
      o.shapes = value;
    else if (flag == "--forms")
      o.forms = value;
    else if (flag == "--heads")
      o.heads = value;
    else if (flag == "--backward")
      o.backward_heads = value;
    else if (flag == "--cudnn")
      o.cudnn = value;
    else if (flag == "--decode")
      o.decode = value != "none";
    else if (flag == "--skinny")
      o.skinny = value != "none";
    else if (flag == "--chunks")
      o.chunks = value;
    else if (flag == "--try")
      o.tries.push_back(value);
    else if (flag == "--try-skinny")
      o.skinny_tries.push_back(value);
    else if (flag == "--rounds")
      o.rounds = std::max(1, std::atoi(value.c_str()));
    else
      user_error("bench_hopper: {} is not a flag; see the head of bench/hopper/main.cpp", flag);
  }
  return o;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts{""};
  for (const char c : text)
    if (c == ',')
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

std::vector<int> numbers(const std::string& text) {
  std::vector<int> result;
  for (const std::string& part : split(text))
    if (!part.empty()) result.push_back(std::atoi(part.c_str()));
  return result;
}

// "tile_n=128,stages=6": sets fields of a schedule by their names.
using Fields = std::vector<std::pair<std::string, int*>>;
void set_fields(const Fields& fields, const std::string& changes) {
  for (const std::string& change : split(changes)) {
    const size_t equals = change.find('=');
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const auto& f) {
      return f.first == change.substr(0, equals);
    });
    if (field == fields.end())
      user_error("--try {}: {} is not a field of the schedule", changes, change);
    *field->second = std::atoi(change.substr(equals + 1).c_str());
  }
}

MatmulSchedule changed(MatmulSchedule s, const std::string& changes) {
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

SkinnySchedule changed_skinny(SkinnySchedule s, const std::string& changes) {
  set_fields({{"rows", &s.rows}, {"boxes", &s.boxes}}, changes);
  s.stages = kernels::cuda::skinny_stages(s);
  return s;
}

// One form of one shape; operands in as many sets as make repeated runs miss L2.
struct Case {
  Shape shape;
  char form;
  Matmul p;
  std::vector<BufferPtr> a, b, c;
  BufferPtr bias, scratch;

  Case(CudaDevice& gpu, const Shape& s, char f) : shape(s), form(f) {
    p.out = f == 'w' ? DType::f32 : DType::bf16;
    p.accumulate = f == 'w';
    if (f == 'd') {  // dx[m][k] = dy[m][n] w[n][k]
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
    const int64_t bytes = 2 * (p.m * p.k + p.n * p.k), result = p.m * p.n * (f == 'w' ? 4 : 2);
    const int sets = int(std::clamp<int64_t>(gpu.l2_bytes() * 4 / bytes, 1, 8)) + 1;
    for (int i = 0; i < sets; ++i) {
      a.push_back(random_bf16(gpu, p.m * p.k, uint64_t(2 * i + 1)));
      b.push_back(random_bf16(gpu, p.n * p.k, uint64_t(2 * i + 2)));
    }
    for (int i = 0; i < 2; ++i) {
      c.push_back(gpu.allocate(size_t(result)));
      gpu.stream().fill(c.back()->data(), f == 'w' ? 0 : 0xff, size_t(result));
    }
    if (f == 'g') {
      bias = random_bf16(gpu, p.n, 99);
      p.bias = bias->data(), p.activation = Matmul::gelu_tanh;
    }
    scratch = gpu.allocate(size_t(1) << 20);
    p.scratch = scratch->data();
  }
  // Of set i, into result r.
  Matmul params(int i, int r) const {
    Matmul q = p;
    const size_t set = size_t(i) % a.size();
    q.a.data = a[set]->data(), q.b.data = b[set]->data(), q.c = c[size_t(r)]->data();
    return q;
  }
  double flops() const { return 2.0 * double(p.m) * double(p.n) * double(p.k); }
};

using Product = std::function<void(const Matmul&)>;

void check_equal(CudaDevice& gpu, const Case& x, const Product& peer, const Product& ours) {
  peer(x.params(0, 0));
  ours(x.params(0, 1));
  gpu.stream().synchronize();
  const Difference d = difference(gpu, x.c[0], x.c[1], x.p.m * x.p.n, x.form == 'w');
  WEFT_CHECK(d.relative < 1e-2, "results differ by {} from cuBLASLt's", d.relative);
  std::printf(" | %.1e | %.4f%%", d.relative, d.bits * 100);
}

// TFLOP/s.
std::vector<double> rates(CudaDevice& gpu, const Case& x, const std::vector<Product>& products,
                          int rounds) {
  constexpr double wanted_seconds = 0.012;
  const int launches = int(std::clamp(wanted_seconds * 700e12 / x.flops(), 2.0, 100.0));
  std::vector<Run> runs;
  for (const Product& product : products) runs.push_back([&](int i) { product(x.params(i, 0)); });
  std::vector<double> result;
  for (const double t : in_turns(gpu.stream(), runs, launches, rounds))
    result.push_back(x.flops() / t / 1e9);
  return result;
}

void measure(CudaDevice& gpu, const CublasLt& lt, const Case& x, const Options& o, Ratios& ratios) {
  CudaStream& stream = gpu.stream();
  const LtMatmul peer(lt, stream, x.params(0, 0));
  std::vector<Product> runs{[&](const Matmul& p) { peer.run(stream, p); },
                            [&](const Matmul& p) { kernels::cuda::matmul(stream, p); }};
  for (const std::string& text : o.tries) {
    const MatmulSchedule s =
        changed(kernels::cuda::matmul_schedule(x.p, gpu.multiprocessors()), text);
    runs.push_back([&stream, s](const Matmul& p) { kernels::cuda::matmul(stream, p, s); });
  }
  std::printf("| %lldx%lldx%lld | %c", (long long)x.shape.m, (long long)x.shape.n,
              (long long)x.shape.k, x.form);
  for (size_t i = 2; i < runs.size(); ++i) runs[i](x.params(0, 0));  // compiled before the capture
  if (x.form == 'w')
    for (const BufferPtr& c : x.c) stream.fill(c->data(), 0, c->bytes());
  check_equal(gpu, x, runs[0], runs[1]);
  const std::vector<double> r = rates(gpu, x, runs, o.rounds);
  std::printf(" | %.0f | %.0f | %.3f", r[0], r[1], r[1] / r[0]);
  for (size_t i = 2; i < r.size(); ++i) std::printf(" | %.0f (%.3f)", r[i], r[i] / r[0]);
  std::printf(" |\n");
  std::fflush(stdout);
  ratios.add(x.form == 'g' ? "with bias and GELU" : "plain", r[1] / r[0]);
}

void measure_matmul(CudaDevice& gpu, const Options& o) {
  CublasLt lt;
  if (!lt.load()) resource_error("libcublasLt was not found; it is what this measures against");
  std::printf("| m x n x k | form | difference | other bits | cuBLASLt | Weft | ratio |");
  for (const std::string& t : o.tries) std::printf(" %s |", t.c_str());
  std::printf("\n|---|---|---|---|---|---|---|");
  for (size_t i = 0; i < o.tries.size(); ++i) std::printf("---|");
  std::printf("\n");
  Ratios ratios;
  for (const std::string& shape : split(o.shapes))
    for (const std::string& form : split(o.forms))
      measure(gpu, lt, Case(gpu, shape_of(shape), form[0]), o, ratios);
  ratios.print();
}

void measure_both_attentions(CudaDevice& gpu, const Options& o) {
  if (o.heads == "none" && o.backward_heads == "none") return;
  Cudnn cudnn;
  const bool found = cudnn.load(o.cudnn, gpu.stream());
  if (!found) std::printf("\nno cuDNN: %s\n", ::dlerror());
  const Cudnn* peer = found ? &cudnn : nullptr;
  if (o.heads != "none")
    measure_attention(gpu, peer, numbers(o.heads), numbers(o.chunks), o.rounds);
  if (o.backward_heads != "none")
    measure_attention_backward(gpu, peer, numbers(o.backward_heads), o.rounds);
}

int main_checked(int argc, char** argv) {
  const Options o = parse(argc, argv);
  std::string reason;
  if (!cuda::find_driver(&reason)) {
    std::printf("bench_hopper: skipped, %s\n", reason.c_str());
    return 0;
  }
  CudaDevice gpu;
  gpu.stream().patience_seconds = 10;
  std::printf(
      "%s; commit %s\nTFLOP/s; data-sheet limit 989; f forward, d input gradient, w weight "
      "gradient "
      "into f32, g bias and GELU\n",
      gpu.description().c_str(), WEFT_COMMIT);
  if (o.shapes != "none") measure_matmul(gpu, o);
  measure_both_attentions(gpu, o);
  if (o.decode) measure_paged(gpu, o.rounds);
  if (o.skinny) measure_skinny(gpu, o.rounds, o.skinny_tries, changed_skinny);
  return 0;
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) {
  try {
    return weft::bench::main_checked(argc, argv);
  } catch (const weft::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::fflush(stdout);
    std::_Exit(1);  // a kernel that hangs must not hold the process at its end
  }
}
