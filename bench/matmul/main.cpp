// Rates of the matrix product by shape and form, beside the limit of the machine and oneDNN.
//   bench_matmul [--threads N] [--quick] [--shapes large|step|few|all] [--weights-mib 1024]
// large: squares and a prefill, TFLOP/s. step: the products of one training step of a small GPT.
// few: few rows by large weights out of memory, GB/s of weights. WEFT_ISA chooses the path.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "bench/matmul/onednn.h"
#include "weft/base/error.h"
#include "weft/base/random.h"
#include "weft/kernels/matmul.h"

namespace weft::bench {
namespace {

using kernels::Matmul;
using kernels::MatmulPack;

struct Options {
  int threads = 0;
  bool quick = false;
  std::string shapes = "all";
  int64_t weights_mib = 1024;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const bool more = i + 1 < argc;
    if (flag == "--quick") {
      o.quick = true;
    } else if (flag == "--threads" && more) {
      o.threads = std::atoi(argv[++i]);
    } else if (flag == "--shapes" && more) {
      o.shapes = argv[++i];
    } else if (flag == "--weights-mib" && more) {
      o.weights_mib = std::max(64, std::atoi(argv[++i]));
    } else {
      user_error("bench_matmul: {} is not a flag; see the head of bench/matmul/main.cpp", flag);
    }
  }
  return o;
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Median seconds a call of each of `jobs`, run in rotation so that a busy neighbour hits all alike.
std::vector<double> medians(const std::vector<std::function<void()>>& jobs, double seconds_each) {
  constexpr int rounds = 9;
  std::vector<std::vector<double>> times(jobs.size());
  std::vector<int> calls(jobs.size());
  for (size_t j = 0; j < jobs.size(); ++j) {
    jobs[j]();
    const double start = now();
    jobs[j]();
    calls[j] = std::clamp(int(seconds_each / rounds / (now() - start)), 1, 5000);
  }
  for (int round = 0; round < rounds; ++round)
    for (size_t j = 0; j < jobs.size(); ++j) {
      // Untimed, until the threads of the job before no longer spin: GCC's OpenMP lets oneDNN's do
      // so for up to 16 ms.
      for (const double from = now(); now() - from < 0.03;) jobs[j]();
      const double start = now();
      for (int i = 0; i < calls[j]; ++i) jobs[j]();
      times[j].push_back((now() - start) / calls[j]);
    }
  std::vector<double> result;
  for (auto& t : times) {
    std::sort(t.begin(), t.end());
    result.push_back(t[t.size() / 2]);
  }
  return result;
}

enum class Form { packed, forward, input_gradient, weight_gradient };
const char* name(Form form) {
  constexpr const char* names[] = {"B packed before", "forward", "input gradient",
                                   "weight gradient"};
  return names[int(form)];
}

struct Buffers {
  BufferPtr a, b, c, packed, scratch;
};

BufferPtr random_matrix(CpuDevice& cpu, int64_t elements, DType type, uint64_t key) {
  BufferPtr buffer = cpu.allocate(size_t(elements) * dtype_size(type));
  const Philox random{key};
  for (int64_t i = 0; i < elements; ++i) {
    const float v = uniform_float(random(uint64_t(i) / 4)[i % 4]) - 0.5f;
    if (type == DType::bf16)
      reinterpret_cast<bf16*>(buffer->data())[i] = bf16(v);
    else
      reinterpret_cast<float*>(buffer->data())[i] = v;
  }
  return buffer;
}

// One product and its peer.
class Product {
 public:
  Product(CpuDevice& cpu, Form form, int64_t m, int64_t n, int64_t k, DType in)
      : cpu_(cpu), dnn_(cpu.stream().threads()) {
    const bool turned = form == Form::weight_gradient;
    p_.m = m, p_.n = n, p_.k = k, p_.in = in;
    p_.out = turned ? DType::f32 : in;
    p_.accumulate = turned;
    a_ = random_matrix(cpu, m * k, in, 1), b_ = random_matrix(cpu, n * k, in, 2);
    c_ = random_matrix(cpu, m * n, p_.out, 3);
    p_.a = {a_->data(), turned ? 1 : k, turned ? m : 1};
    p_.b = {b_->data(), 1, k};
    if (turned || form == Form::input_gradient) p_.b = {b_->data(), n, 1};
    p_.c = c_->data(), p_.c_row_stride = n;
    prepare_peer(form == Form::packed);
    if (form == Form::packed) pack();
    scratch_ = cpu.allocate(matmul_scratch_bytes(p_, cpu.stream().threads()));
    p_.scratch = scratch_->data();
  }
  double flops() const { return 2.0 * double(p_.m) * double(p_.n) * double(p_.k); }
  bool has_peer() const { return has_peer_; }
  void run() { kernels::cpu::matmul(cpu_.stream(), p_); }
  void run_peer() { dnn_.run(); }

 private:
  void prepare_peer(bool packed) {
    if (!dnn_.ok()) return;
    const bool half = p_.in == DType::bf16;
    has_peer_ = dnn_.prepare({p_.m, p_.n, p_.k, half, p_.out == DType::f32, packed, p_.a.row_stride,
                              p_.a.col_stride, p_.b.row_stride, p_.b.col_stride, a_->data(),
                              b_->data(), c_->data()});
  }
  void pack() {
    packed_ = cpu_.allocate(kernels::matmul_packed_bytes(p_.k, p_.n, p_.in));
    MatmulPack pack;
    pack.k = p_.k, pack.n = p_.n, pack.dtype = p_.in, pack.b = p_.b, pack.packed = packed_->data();
    kernels::cpu::matmul_pack_b(cpu_.stream(), pack);
    p_.b = {packed_->data(), 0, 0, 0, true};
  }

  CpuDevice& cpu_;
  OneDnn dnn_;
  bool has_peer_ = false;
  Matmul p_;
  BufferPtr a_, b_, c_, packed_, scratch_;
};

// ---- limits
// --------------------------------------------------------------------------------------

struct Limits {
  double f32 = 0, bf16 = 0;  // flop/s of all threads together
};

Limits measure_limits(CpuDevice& cpu) {
  CpuStream& stream = cpu.stream();
  const Limits limits{unit_rate(stream, DType::f32), unit_rate(stream, DType::bf16)};
  std::printf("limit, on registers: f32 %.0f GFLOP/s (%s), bf16 %.2f TFLOP/s (%s)\n",
              limits.f32 / 1e9, unit_name(stream, DType::f32), limits.bf16 / 1e12,
              unit_name(stream, DType::bf16));
  return limits;
}

// ---- large and step
// ------------------------------------------------------------------------------

// Prints one row; returns the seconds it took and the peer's.
struct Times {
  double own, peer;
};
Times row(CpuDevice& cpu, const Limits& limits, const Options& options, DType in, Form form,
          int64_t m, int64_t n, int64_t k) {
  Product product(cpu, form, m, n, k, in);
  std::vector<std::function<void()>> jobs{[&] { product.run(); }};
  if (product.has_peer()) jobs.push_back([&] { product.run_peer(); });
  const std::vector<double> t = medians(jobs, options.quick ? 0.1 : 1.0);
  const double limit = in == DType::bf16 ? limits.bf16 : limits.f32;
  std::printf("%-4s %-16s %5ld x %5ld x %5ld  %9.1f us  %6.3f TFLOP/s  %3.0f%% of limit",
              std::string(dtype_name(in)).c_str(), name(form), long(m), long(n), long(k),
              t[0] * 1e6, product.flops() / t[0] / 1e12, 100 * product.flops() / t[0] / limit);
  if (t.size() > 1)
    std::printf("   oneDNN %6.3f TFLOP/s: %.2f times", product.flops() / t[1] / 1e12, t[1] / t[0]);
  std::printf("\n");
  std::fflush(stdout);
  return {t[0], t.size() > 1 ? t[1] : 0};
}

void large(CpuDevice& cpu, const Limits& limits, const Options& options) {
  struct Shape {
    int64_t m, n, k;
  };
  std::vector<Shape> shapes{
      {1024, 1024, 1024}, {2048, 2048, 2048}, {4096, 4096, 4096}, {512, 4096, 4096}};
  if (options.quick) shapes = {{512, 512, 512}, {1024, 1024, 1024}};
  for (const DType in : {DType::bf16, DType::f32})
    for (const Shape& s : shapes)
      for (const Form f :
           {Form::packed, Form::forward, Form::input_gradient, Form::weight_gradient})
        row(cpu, limits, options, in, f, s.m, s.n, s.k);
}

// 4 layers of width 128, 12 x 64 tokens, 65 symbols.
void step(CpuDevice& cpu, const Limits& limits, const Options& options) {
  const int64_t tokens = 768, width = 128;
  struct Layer {
    int64_t in, out, count;
  };
  double own = 0, peer = 0;
  for (const Layer& l :
       {Layer{width, 3 * width, 4}, Layer{width, width, 4}, Layer{width, 4 * width, 4},
        Layer{4 * width, width, 4}, Layer{width, 65, 1}}) {
    const Times t[] = {
        row(cpu, limits, options, DType::bf16, Form::forward, tokens, l.out, l.in),
        row(cpu, limits, options, DType::bf16, Form::input_gradient, tokens, l.in, l.out),
        row(cpu, limits, options, DType::bf16, Form::weight_gradient, l.out, l.in, tokens)};
    for (const Times& x : t) own += x.own * double(l.count), peer += x.peer * double(l.count);
  }
  std::printf("all products of a step: %.0f us, %.0f tokens/s; oneDNN %.0f us\n", own * 1e6,
              double(tokens) / own, peer * 1e6);
}

// ---- few rows
// ------------------------------------------------------------------------------------

// Products of m rows by many different weights of 4096 x 4096, and plain reads of the same bytes.
void few(CpuDevice& cpu, const Options& options) {
  const int64_t n = 4096, k = 4096, matrix = n * k * 2;
  const int64_t copies = std::max<int64_t>(1, (options.weights_mib << 20) / matrix);
  const BufferPtr weights = cpu.allocate(size_t(copies * matrix) + 65536);
  const BufferPtr one = random_matrix(cpu, n * k, DType::bf16, 1);
  for (int64_t i = 0; i < copies; ++i)
    std::memcpy(weights->data() + i * matrix, one->data(), size_t(matrix));
  const BufferPtr a = random_matrix(cpu, 32 * k, DType::bf16, 2);
  const BufferPtr c = cpu.allocate(32 * n * 2);
  ThreadPool& pool = cpu.stream().pool();
  std::vector<std::function<void()>> jobs;
  std::vector<BufferPtr> keep;
  std::vector<std::string> names;
  int64_t next = 0;
  for (const int64_t ahead : read_ahead) {
    names.push_back(format("plain read, {} bytes ahead", ahead));
    jobs.push_back([&pool, &next, &weights, copies, ahead] {
      const std::byte* from = weights->data() + next++ % copies * matrix;
      const int64_t part = matrix / pool.size() / 256 * 256;
      pool.run([&](int t) { read_all(from + t * part, part, ahead); });
    });
  }
  for (const bool packed : {true, false})
    for (const int64_t m : {1, 8, 16, 32}) {
      Matmul p;
      p.m = m, p.n = n, p.k = k, p.a = {a->data(), k, 1};
      p.b = {nullptr, 1, k, 0, packed};
      p.c = c->data(), p.c_row_stride = n;
      keep.push_back(cpu.allocate(matmul_scratch_bytes(p, pool.size())));
      p.scratch = keep.back()->data();
      names.push_back(format("m {}, {}", m, packed ? "packed" : "[n, k] as it is"));
      jobs.push_back([p, &cpu, &next, &weights, copies]() mutable {
        p.b.data = weights->data() + next++ % copies * matrix;
        kernels::cpu::matmul(cpu.stream(), p);
      });
    }
  const std::vector<double> t = medians(jobs, options.quick ? 0.2 : 2.0);
  double best = 0;
  for (size_t i = 0; i < std::size(read_ahead); ++i) best = std::max(best, double(matrix) / t[i]);
  for (size_t i = 0; i < jobs.size(); ++i)
    std::printf("%-28s by 4096 x 4096: %8.1f us  %5.1f GB/s  %3.0f%% of the best plain read\n",
                names[i].c_str(), t[i] * 1e6, double(matrix) / t[i] / 1e9,
                100 * double(matrix) / t[i] / best);
}

void run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  CpuDevice cpu(options.threads);
  std::printf("%s; medians\n", cpu.description().c_str());
  const Limits limits = measure_limits(cpu);
  const bool all = options.shapes == "all";
  if (all || options.shapes == "large") large(cpu, limits, options);
  if (all || options.shapes == "step") step(cpu, limits, options);
  if (all || options.shapes == "few") few(cpu, options);
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) {
  try {
    weft::bench::run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_matmul: %s\n", e.what());
    return 1;
  }
  return 0;
}
