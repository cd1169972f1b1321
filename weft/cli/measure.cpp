#include "weft/cli/measure.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <vector>

#include "weft/graph/jit.h"

namespace weft::cli {

double seconds_of(const std::function<void()>& work) {
  using clock = std::chrono::steady_clock;
  const auto start = clock::now();
  work();
  return std::chrono::duration<double>(clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double median_seconds(int64_t runs, const std::function<void()>& work) {
  work();
  std::vector<double> seconds;
  for (int64_t i = 0; i < runs; ++i) seconds.push_back(seconds_of(work));
  return median(std::move(seconds));
}

Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed) {
  const int64_t words[] = {int64_t(seed), 0};
  const Tensor rng(Array::from<int64_t>(default_device(), {2}, words));
  Tensor x = cast(random_normal(shape, rng, "bench"), dtype);
  eval({x});
  return x;
}

double measured_matmul_rate(DType dtype) {
  constexpr int64_t size = 1024;
  const Tensor x = random_tensor({size, size}, dtype, 1), w = random_tensor({size, size}, dtype, 2);
  auto product = jit([](Tensor a, Tensor b) { return matmul(a, b, "td,fd->tf"); });
  return 2.0 * double(size * size * size) / median_seconds(5, [&] { product(x, w); });
}

namespace {

using Words [[gnu::vector_size(64)]] = uint64_t;

// Four streams of vectors, each with a chain of its own.
uint64_t read_all(const std::byte* from, size_t bytes) {
  const size_t each = bytes / sizeof(Words) / 4;
  const Words* const w = reinterpret_cast<const Words*>(from);
  Words a{}, b{}, c{}, d{};
  for (size_t i = 0; i < each; ++i)
    a ^= w[i], b ^= w[each + i], c ^= w[2 * each + i], d ^= w[3 * each + i];
  const Words all = a ^ b ^ c ^ d;
  return all[0];
}

constexpr int64_t read_bytes = int64_t(1) << 30;

}  // namespace

MemoryReader::MemoryReader() : memory_(default_device(), DType::u8, {read_bytes}) {
  std::memset(memory_.data(), 1, size_t(read_bytes));
}

double MemoryReader::rate() {
  CpuStream& stream = static_cast<CpuStream&>(default_device().stream());
  std::atomic<uint64_t> sink{0};
  const double seconds = seconds_of([&] {
    stream.parallel_for(read_bytes, 4096, [&](int64_t begin, int64_t end) {
      sink ^= read_all(memory_.data() + begin, size_t(end - begin));
    });
  });
  return double(read_bytes) / seconds;
}

}  // namespace weft::cli
