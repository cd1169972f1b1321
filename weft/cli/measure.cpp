#include "weft/cli/measure.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "weft/graph/jit.h"

namespace weft::cli {

double median_seconds(int64_t runs, const std::function<void()>& work) {
  using clock = std::chrono::steady_clock;
  work();
  std::vector<double> seconds;
  for (int64_t i = 0; i < runs; ++i) {
    const auto start = clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed) {
  const int64_t words[] = {int64_t(seed), 0};
  const Tensor rng(Array::from<int64_t>(default_device(), {2}, words));
  const Tensor x = cast(random_normal(shape, rng, "bench"), dtype);
  eval({x});
  return x;
}

double measured_matmul_rate(DType dtype) {
  constexpr int64_t size = 1024;
  const Tensor x = random_tensor({size, size}, dtype, 1), w = random_tensor({size, size}, dtype, 2);
  auto product = jit([](Tensor a, Tensor b) { return matmul(a, b, "td,fd->tf"); });
  return 2.0 * double(size * size * size) / median_seconds(5, [&] { product(x, w); });
}

}  // namespace weft::cli
