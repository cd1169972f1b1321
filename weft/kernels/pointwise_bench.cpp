// The elementwise programs of a GPT step over 768 x 512, held against a copy of as many bytes.
#include <benchmark/benchmark.h>
#include <cstring>
#include <vector>

#include "weft/kernels/pointwise.h"

namespace weft::kernels {
namespace {

constexpr int64_t rows = 768, columns = 512;

struct Case {
  Pointwise p;
  std::vector<float> x, y, bias, out;
  int64_t bytes = 0;

  Case(int64_t r, int64_t c, DType t)
      : x(size_t(r * c), 0.5f), y(size_t(r * c), 0.5f), bias(size_t(c), 0.5f), out(size_t(r * c)) {
    p.rank = 2, p.sizes[0] = r, p.sizes[1] = c;
    p.inputs = 3;
    p.input[0] = {x.data(), t, {c, 1}};
    p.input[1] = {y.data(), t, {c, 1}};
    p.input[2] = {bias.data(), t, {0, 1}};
    p.outputs = 1;
    p.output[0] = {out.data(), {c, 1}, 0};
    bytes = r * c * int64_t(dtype_size(t));
  }
  uint8_t add(PointwiseOp op, DType t, int a = 0, int b = 0) {
    p.instr[p.instrs] = {op, t, uint8_t(a), uint8_t(b), 0, 1.5};
    p.output[0].instr = uint8_t(p.instrs);
    return uint8_t(p.instrs++);
  }
};

void run(benchmark::State& state, const Case& c, int64_t bytes) {
  CpuDevice device(1);
  for (auto _ : state) cpu::pointwise(device.stream(), c.p);
  state.SetBytesProcessed(state.iterations() * bytes);
  state.counters["Gelem/s"] = benchmark::Counter(
      double(state.iterations() * c.p.sizes[0] * c.p.sizes[1]) * 1e-9, benchmark::Counter::kIsRate);
}

void copy(benchmark::State& state) {  // the limit: reads and writes, as the programs do
  std::vector<float> from(rows * columns, 0.5f), to(rows * columns);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size() * 4);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * int64_t(from.size()) * 8);
}
BENCHMARK(copy);

void residual_add(benchmark::State& state, DType t) {
  Case c(rows, columns, t);
  c.add(PointwiseOp::add, t, c.add(PointwiseOp::input, t, 0), c.add(PointwiseOp::input, t, 1));
  run(state, c, 3 * c.bytes);
}
BENCHMARK_CAPTURE(residual_add, f32, DType::f32);
BENCHMARK_CAPTURE(residual_add, bf16, DType::bf16);

void bias_gelu(benchmark::State& state, DType t) {
  Case c(rows, columns, t);
  const int x = c.add(PointwiseOp::input, t, 0), b = c.add(PointwiseOp::input, t, 2);
  c.add(PointwiseOp::gelu_tanh, t, c.add(PointwiseOp::add, t, x, b));
  run(state, c, 2 * c.bytes);
}
BENCHMARK_CAPTURE(bias_gelu, f32, DType::f32);
BENCHMARK_CAPTURE(bias_gelu, bf16, DType::bf16);

void unary(benchmark::State& state, PointwiseOp op) {
  Case c(rows, columns, DType::f32);
  c.add(op, DType::f32, c.add(PointwiseOp::input, DType::f32, 0));
  run(state, c, 2 * c.bytes);
}
BENCHMARK_CAPTURE(unary, neg, PointwiseOp::neg);
BENCHMARK_CAPTURE(unary, exp, PointwiseOp::exp);
BENCHMARK_CAPTURE(unary, tanh, PointwiseOp::tanh);
BENCHMARK_CAPTURE(unary, sin, PointwiseOp::sin);

void twenty_instructions(benchmark::State& state) {
  Case c(rows, columns, DType::f32);
  int v = c.add(PointwiseOp::input, DType::f32, 0);
  const int k = c.add(PointwiseOp::constant, DType::f32);
  for (int i = 0; i < 20; ++i)
    v = c.add(i % 2 ? PointwiseOp::mul : PointwiseOp::add, DType::f32, v, k);
  run(state, c, 2 * c.bytes);
}
BENCHMARK(twenty_instructions);

// The cost of a call: little to do.
void sixteen_elements(benchmark::State& state) {
  Case c(1, 16, DType::f32);
  c.add(PointwiseOp::add, DType::f32, c.add(PointwiseOp::input, DType::f32, 0),
        c.add(PointwiseOp::input, DType::f32, 2));
  run(state, c, 3 * c.bytes);
}
BENCHMARK(sixteen_elements);

}  // namespace
}  // namespace weft::kernels

