#include <benchmark/benchmark.h>
#include <vector>

#include "weft/kernels/random.h"

namespace weft::kernels {
namespace {

constexpr int64_t n = 1 << 18;

void uniform(benchmark::State& state) {
  std::vector<float> out(n);
  CpuDevice device(1);
  for (auto _ : state) cpu::random_uniform(device.stream(), {1, 2, 0, n, out.data()});
  state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK(uniform);

void normal(benchmark::State& state) {
  std::vector<float> out(n);
  CpuDevice device(1);
  for (auto _ : state) cpu::random_normal(device.stream(), {1, 2, 0, n, out.data()});
  state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK(normal);

}  // namespace
}  // namespace weft::kernels
