// Rates of copies, read and written bytes together, against memcpy of as many.
#include <benchmark/benchmark.h>
#include <cstring>
#include <vector>

#include "weft/kernels/copy.h"

namespace weft::kernels {
namespace {

constexpr int64_t rows = 768, columns = 1024;

template <class F>
void measure(benchmark::State& state, int bytes, F run) {
  std::vector<uint64_t> from(rows * columns, 3), to(rows * columns, 3);
  CpuDevice device(1);
  for (auto _ : state) {
    run(device.stream(), from.data(), to.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * rows * columns * bytes * 2);
}

void memory(benchmark::State& state, int bytes) {
  measure(state, bytes, [&](CpuStream&, const void* from, void* to) {
    std::memcpy(to, from, size_t(rows * columns * bytes));
  });
}
void transpose(benchmark::State& state, int bytes) {
  measure(state, bytes, [&](CpuStream& stream, const void* from, void* to) {
    cpu::strided_copy(stream, {bytes, 2, {columns, rows}, {1, columns}, {rows, 1}, from, to});
  });
}
// [rows, heads, 64] to [heads, rows, 64].
void heads(benchmark::State& state, int bytes) {
  measure(state, bytes, [&](CpuStream& stream, const void* from, void* to) {
    cpu::strided_copy(
        stream,
        {bytes, 3, {columns / 64, rows, 64}, {64, columns, 1}, {rows * 64, 64, 1}, from, to});
  });
}
BENCHMARK_CAPTURE(memory, 4_bytes, 4);
BENCHMARK_CAPTURE(transpose, 1_byte, 1);
BENCHMARK_CAPTURE(transpose, 2_bytes, 2);
BENCHMARK_CAPTURE(transpose, 4_bytes, 4);
BENCHMARK_CAPTURE(heads, 2_bytes, 2);

}  // namespace
}  // namespace weft::kernels
