// Sums over rows (a softmax's or a loss's) and over columns (a bias gradient), held against reading
// the bytes once.
#include <benchmark/benchmark.h>
#include <vector>

#include "weft/kernels/reduce.h"

namespace weft::kernels {
namespace {

void measure(benchmark::State& state, ReduceOp op, DType t, int64_t outer, int64_t reduced,
             int64_t inner) {
  const std::vector<float> in(size_t(outer * reduced * inner), 0.5f);
  std::vector<float> out(size_t(outer * inner) * 2);
  const DType out_dtype = op == ReduceOp::argmax ? DType::i32 : DType::f32;
  Reduce p{op, t, out_dtype, outer, reduced, inner, in.data(), out.data(), nullptr};
  std::vector<double> scratch(size_t(reduce_scratch_bytes(p) / 8 + 1));
  p.scratch = scratch.data();
  CpuDevice device(1);
  for (auto _ : state) cpu::reduce(device.stream(), p);
  state.SetBytesProcessed(state.iterations() * outer * reduced * inner * int64_t(dtype_size(t)));
}
BENCHMARK_CAPTURE(measure, rows_768x512_f32, ReduceOp::sum, DType::f32, 768, 512, 1);
BENCHMARK_CAPTURE(measure, rows_768x512_bf16, ReduceOp::sum, DType::bf16, 768, 512, 1);
BENCHMARK_CAPTURE(measure, one_row_f32, ReduceOp::sum, DType::f32, 1, 768 * 512, 1);
BENCHMARK_CAPTURE(measure, columns_768x512_f32, ReduceOp::sum, DType::f32, 1, 768, 512);
BENCHMARK_CAPTURE(measure, columns_768x2048_bf16, ReduceOp::sum, DType::bf16, 1, 768, 2048);
BENCHMARK_CAPTURE(measure, max_768x512_f32, ReduceOp::max, DType::f32, 768, 512, 1);
BENCHMARK_CAPTURE(measure, argmax_8x50304_f32, ReduceOp::argmax, DType::f32, 8, 50304, 1);

}  // namespace
}  // namespace weft::kernels
