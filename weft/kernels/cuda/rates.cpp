#include "weft/kernels/cuda/rates.h"

#include <algorithm>
#include <vector>

#include "weft/base/random.h"
#include "weft/kernels/cuda/matmul.h"

namespace weft::kernels::cuda {
namespace {

constexpr int runs = 5, launches = 4;

// The best of some runs, in seconds a launch; the first warms up.
template <class F>
double best_seconds(CudaStream& stream, F&& launch) {
  double best = 1e9;
  for (int run = 0; run <= runs; ++run) {
    CudaEvent begin, end;
    begin.record(stream);
    for (int i = 0; i < launches; ++i) launch();
    end.record(stream);
    stream.synchronize();
    if (run > 0) best = std::min(best, end.milliseconds_since(begin) * 1e-3 / launches);
  }
  return best;
}

// Random bf16 between -1 and 1; one block of random numbers, repeated over the buffer.
BufferPtr random_matrix(CudaDevice& device, int64_t n, uint64_t key) {
  constexpr int64_t block = int64_t(1) << 20;
  std::vector<bf16> values(block);
  const Philox random{key};
  for (int64_t i = 0; i < block; ++i)
    values[size_t(i)] = bf16(2 * uniform_float(random(uint64_t(i))[0]) - 1);
  BufferPtr buffer = device.allocate(size_t(n) * sizeof(bf16));
  for (int64_t at = 0; at < n; at += block)
    device.copy_from_host(buffer->data() + at * int64_t(sizeof(bf16)),
                          reinterpret_cast<const std::byte*>(values.data()),
                          size_t(std::min(block, n - at)) * sizeof(bf16));
  return buffer;
}

double matmul_rate(CudaDevice& device) {
  constexpr int64_t side = 8192;
  const BufferPtr a = random_matrix(device, side * side, 1);
  const BufferPtr b = random_matrix(device, side * side, 2);
  const BufferPtr c = device.allocate(size_t(side * side) * sizeof(bf16));
  Matmul p;
  p.m = p.n = p.k = side;
  p.a = {a->data(), side, 1}, p.b = {b->data(), 1, side};
  p.c = c->data(), p.c_row_stride = side;
  const double seconds = best_seconds(device.stream(), [&] { matmul(device.stream(), p); });
  return 2.0 * side * side * side / seconds;
}

}  // namespace

DeviceRates measure_rates(CudaDevice& device) {
  constexpr size_t bytes = size_t(2) << 30;
  const BufferPtr from = device.allocate(bytes), to = device.allocate(bytes);
  CudaStream& stream = device.stream();
  stream.fill(from->data(), 1, bytes);
  const double seconds =
      best_seconds(stream, [&] { stream.copy(to->data(), from->data(), bytes); });
  return {2.0 * double(bytes) / seconds, device.capability() == 90 ? matmul_rate(device) : 0};
}

}  // namespace weft::kernels::cuda
