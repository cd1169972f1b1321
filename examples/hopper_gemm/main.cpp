// From one thread an element to the library's kernel: one product of matrices nine times on a
// Hopper GPU, each time nearer to what the device can do, and attention three times. Every step is
// a short file beside this one. Without a GPU they are compiled, and the compiler's report is
// checked.
//
//   example_hopper_gemm [--quick | --small] [--step N] [--svg FILE]
// --small: sizes that a sanitizer goes through in seconds; results are checked, nothing is timed.
#include <cstring>

#include "bench/hopper/cublaslt.h"
#include "examples/hopper_gemm/attention.h"
#include "examples/hopper_gemm/product.h"
#include "weft/base/file.h"
#include "weft/base/svg.h"

using namespace ladder;

namespace {

struct Options {
  int rounds = 9;
  int step = 0;  // all
  std::string svg;
  bool wants(int number) const { return step == 0 || step == number; }
};

// 0 where the library is not.
double climb_peer(CudaDevice& gpu, const Product& product, Ladder& ladder) {
  weft::bench::CublasLt lt;
  if (!lt.load()) return 0;
  const auto matmul = product.params(ladder.expected()->data());
  const weft::bench::LtMatmul peer(lt, gpu.stream(), matmul);
  return ladder
      .climb(peer_step, {"cuBLASLt", {wgmma_unit}, true, "the best of its heuristics"},
             [&](std::byte* c) { peer.run(gpu.stream(), product.params(c)); })
      .rate;
}

void climb_product(CudaDevice& gpu, const Limits& limits, const Options& o) {
  const Product product(gpu);
  Ladder ladder(gpu, limits, Product::operations(), int64_t(n) * n, product.library(), o.rounds);
  product.check(ladder.expected());
  std::printf("C = A B turned, %d x %d x %d, bf16, in 10^12 operations a second\n", n, n, n);
  weft::Plot plot{.title = "One product, nine ways", .x = {.label = "step"}};
  plot.y = {.label = "10^12 operations a second", .log = true};
  plot.series = {{.label = "measured", .points = true}, {.label = "what its roof allows"}};
  for (int step = 1; step <= library_step; ++step) {
    if (!o.wants(step)) continue;
    const Ladder::Reached reached = ladder.climb(step, product_steps[step], product.run(step));
    plot.series[0].x.push_back(step), plot.series[0].y.push_back(reached.rate);
    plot.series[1].x.push_back(step), plot.series[1].y.push_back(reached.roof);
  }
  const double peer = o.rounds > 0 && o.wants(peer_step) ? climb_peer(gpu, product, ladder) : 0;
  if (peer > 0) plot.references = {{"cuBLASLt", peer}};
  if (!o.svg.empty()) weft::write_file_atomic(o.svg, std::string_view(plot.svg()));
}

void climb_attention(CudaDevice& gpu, const Limits& limits, const Options& o) {
  Attention attention(gpu);
  Ladder ladder(gpu, limits, attention.operations(), Attention::results(), attention.library(),
                o.rounds);
  std::printf("attention, causal, %d sequences of %d, %d heads of %d\n", sequences, length, heads,
              head_dim);
  for (int step = 0; step < 3; ++step)
    if (o.wants(peer_step + 1 + step))
      ladder.climb(peer_step + 1 + step, attention_steps[step], attention.run(step));
}

void print_limits(const Limits& limits) {
  std::printf("alone:");
  for (int unit = fma_unit; unit <= l2_cache; ++unit)
    std::printf(" %s %.1f%s", unit_names[unit], limits.rate[unit] / 1e12,
                unit < l2_cache ? "," : "; 10^12 operations or bytes a second\n");
}

// What the assembler said of one function of a file.
weft::cuda::KernelReport report_of(const std::string& function, const std::string& log) {
  const std::string heading = "Compiling entry function '";
  const size_t begin = log.find(heading + function + "'");
  WEFT_CHECK(begin != std::string::npos, "no report of {} in:\n{}", function, log);
  return weft::cuda::parse_report(log.substr(begin, log.find(heading, begin + 1) - begin));
}

void compile_and_report(const KernelFile& kernel) {
  const weft::cuda::KernelCache cache(weft::cuda::KernelCache::default_folder());
  const weft::cuda::KernelBinary binary = weft::cuda::compile(source_of(kernel), cache);
  const weft::cuda::KernelReport r = report_of(kernel.function, binary.log);
  std::printf("%-13s %4d threads, %3d registers, %6d bytes of shared memory\n",
              kernel.function.c_str(), kernel.threads, r.registers,
              r.static_shared_bytes + kernel.shared_bytes);
  WEFT_CHECK(r.spill_bytes == 0 && !binary.report.serialised, "{} spills or waits for itself:\n{}",
             kernel.function, binary.log);
}

void compile_all(const std::string& no_gpu) {
  std::string reason;
  std::printf("%s\n", no_gpu.c_str());
  if (!weft::cuda::compiler_found(&reason))
    return void(std::printf("skipped: %s\n", reason.c_str()));
  std::printf("so the kernels are only compiled:\n");
  for (int step = 1; step < library_step; ++step) compile_and_report(product_kernel(step));
  for (const KernelFile& kernel : attention_kernels) compile_and_report(kernel);
  for (const UnitLoop& loop : unit_loops) compile_and_report(loop.kernel);
}

// Why there is nothing to run on; empty: there is.
std::string why_no_gpu() {
  std::string reason;
  if (!weft::cuda::find_driver(&reason)) return reason;
  if (CudaDevice::count() == 0) return "the driver shows no GPU";
  const CudaDevice gpu;
  return gpu.capability() == 90 ? "" : "not a Hopper GPU: " + gpu.description();
}

void run(const Options& o) {
  const std::string reason = why_no_gpu();
  if (!reason.empty()) return compile_all(reason);
  CudaDevice gpu;
  gpu.stream().patience_seconds = 20;
  std::printf("%s\n", gpu.description().c_str());
  const Limits limits = o.rounds > 0 ? measure_limits(gpu) : Limits{};
  if (o.rounds > 0) print_limits(limits);
  if (o.step <= peer_step) climb_product(gpu, limits, o);
  if (o.step == 0 || o.step > peer_step) climb_attention(gpu, limits, o);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--quick")) o.rounds = 1;
    if (!std::strcmp(argv[i], "--small")) o.rounds = 0, n = 512, length = 256;
    if (!std::strcmp(argv[i], "--step") && i + 1 < argc) o.step = std::atoi(argv[++i]);
    if (!std::strcmp(argv[i], "--svg") && i + 1 < argc) o.svg = argv[++i];
  }
  try {
    run(o);
  } catch (const weft::Error& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", error.what());
    std::_Exit(1);  // a kernel that hangs must not hold the process at its end
  }
}
