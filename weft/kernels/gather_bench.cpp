// An embedding's forward and backward: 4096 tokens of a vocabulary of 8192, 512 wide.
#include <benchmark/benchmark.h>
#include <vector>

#include "weft/kernels/gather.h"

namespace weft::kernels {
namespace {

constexpr int64_t rows = 8192, width = 512, tokens = 4096;

std::vector<int32_t> some_tokens() {
  std::vector<int32_t> v;
  for (int64_t i = 0; i < tokens; ++i) v.push_back(int32_t(i * 2654435761u % rows));
  return v;
}

void gather(benchmark::State& state) {
  const std::vector<float> table(rows * width, 1.0f);
  const std::vector<int32_t> indices = some_tokens();
  std::vector<float> out(tokens * width);
  int64_t bad = -1;
  CpuDevice device(1);
  for (auto _ : state)
    cpu::gather_rows(device.stream(), {table.data(), indices.data(), DType::i32, rows, width,
                                       tokens, 4, out.data(), &bad});
  state.SetBytesProcessed(state.iterations() * tokens * width * 8);
}
BENCHMARK(gather);

void scatter_add(benchmark::State& state, DType t) {
  const std::vector<float> grad(tokens * width, 1.0f);
  const std::vector<int32_t> indices = some_tokens();
  std::vector<float> out(rows * width);
  CpuDevice device(1);
  for (auto _ : state)
    cpu::scatter_add_rows(device.stream(), {grad.data(), t, indices.data(), DType::i32, rows, width,
                                            tokens, out.data()});
  // The output is zeroed; the rows that are hit are read and written.
  state.SetBytesProcessed(state.iterations() *
                          (rows * width * 4 + tokens * width * (8 + int64_t(dtype_size(t)))));
}
BENCHMARK_CAPTURE(scatter_add, f32, DType::f32);
BENCHMARK_CAPTURE(scatter_add, bf16, DType::bf16);

}  // namespace
}  // namespace weft::kernels
