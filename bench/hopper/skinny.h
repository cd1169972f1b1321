// Products with few rows on a Hopper GPU, against the rate at which the same memory can be read:
// a graph of products with distinct weights, more than L2 holds, as in decode.
#pragma once
#include <cstdio>
#include <vector>

#include "bench/hopper/paged.h"
#include "weft/kernels/cuda/matmul.h"

namespace weft::bench {

inline void measure_skinny(CudaDevice& gpu, int rounds) {
  constexpr int products = 32;
  std::printf(
      "\n| few rows: m x n x k | MB | read, TB/s | Weft, TB/s | ratio |\n|---|---|---|---|---|\n");
  const std::pair<int64_t, int64_t> shapes[] = {
      {4096, 4096}, {14336, 4096}, {4096, 14336}, {8192, 8192}, {14336, 14336}};
  for (const auto& [n, k] : shapes) {
    const int64_t elements = n * k;
    const BufferPtr w = random_bf16(gpu, elements * products, 1), a = random_bf16(gpu, 64 * k, 2),
                    c = gpu.allocate(size_t(64 * n * 2));
    const double read = read_rate(gpu, w);
    for (const int m : {1, 8, 32, 64}) {
      const auto run = [&, columns = n, depth = k] {
        for (int i = 0; i < products; ++i) {
          kernels::Matmul p;
          p.m = m, p.n = columns, p.k = depth;
          p.a = {a->data(), depth, 1}, p.b = {w->data() + elements * 2 * i, 1, depth};
          p.c = c->data(), p.c_row_stride = columns;
          kernels::cuda::skinny_matmul(gpu.stream(), p, true);
        }
      };
      run();  // compiled before the capture
      CudaGraph graph(gpu.stream(), run);
      std::vector<double> rates;
      for (int round = 0; round <= rounds; ++round) {
        const double t = milliseconds(gpu.stream(), [&] { graph.launch(gpu.stream()); });
        if (round > 0) rates.push_back(double(elements * products) * 2 / t * 1e3);
      }
      const double rate = median(rates);
      std::printf("| %d x %lld x %lld | %.0f | %.2f | %.2f | %.3f |\n", m, (long long)n,
                  (long long)k, double(elements) * 2e-6, read / 1e12, rate / 1e12, rate / read);
      std::fflush(stdout);
    }
  }
}

}  // namespace weft::bench
