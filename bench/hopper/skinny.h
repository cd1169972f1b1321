// Products with few rows on a Hopper GPU, against the rate at which the same memory can be read:
// graphs of 32 launches over distinct weights, more than L2 holds, each of which may start while
// the one before ends, as in decode.
#pragma once
#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "bench/hopper/paged.h"
#include "weft/kernels/cuda/matmul.h"

namespace weft::bench {

// Bytes a second of a graph; the median of some rounds.
inline double graph_rate(CudaDevice& gpu, double bytes, int rounds,
                         const std::function<void()>& run) {
  run();  // compiled before the capture
  CudaGraph graph(gpu.stream(), run);
  std::vector<double> rates;
  for (int round = 0; round <= rounds; ++round) {
    const double t = milliseconds(gpu.stream(), [&] { graph.launch(gpu.stream()); });
    if (round > 0) rates.push_back(bytes / t * 1e3);
  }
  return median(rates);
}

// The better of two kernels that only read, launched once for each of `parts` of the buffer.
inline double read_rate_in_parts(CudaDevice& gpu, const BufferPtr& buffer, int parts, int rounds) {
  constexpr int ring_bytes = 6 * 16384;  // of read_pieces
  const BufferPtr sum = gpu.allocate(16);
  double best = 0;
  for (const bool pieces : {false, true}) {
    const CudaKernel& kernel =
        data_kernel(gpu, pieces ? "read_pieces" : "read_all", pieces ? ring_bytes : 0);
    const unsigned blocks = unsigned(gpu.multiprocessors() * (pieces ? 2 : 8));
    const auto run = [&] {
      for (int i = 0; i < parts; ++i) {
        uint64_t n = buffer->bytes() / 16 / uint64_t(parts);
        std::byte *from = buffer->data() + n * 16 * uint64_t(i), *to = sum->data();
        void* arguments[] = {&from, &n, &to};
        kernel.launch(gpu.stream(), {blocks, 1, 1, pieces ? 32u : 256u, true}, arguments);
      }
    };
    best = std::max(best, graph_rate(gpu, double(buffer->bytes()), rounds, run));
  }
  return best;
}

// tries: changes of the shipped schedule, each a column more.
inline void measure_skinny(CudaDevice& gpu, int rounds, const std::vector<std::string>& tries,
                           kernels::cuda::SkinnySchedule (*changed)(kernels::cuda::SkinnySchedule,
                                                                    const std::string&)) {
  constexpr int products = 32;
  std::printf(
      "\n| few rows: m x n x k | MB | read at once, TB/s | in 32 launches | Weft | ratio |");
  for (const std::string& t : tries) std::printf(" %s |", t.c_str());
  std::printf("\n|---|---|---|---|---|---|");
  for (size_t i = 0; i < tries.size(); ++i) std::printf("---|");
  std::printf("\n");
  const std::pair<int64_t, int64_t> shapes[] = {
      {4096, 4096}, {14336, 4096}, {4096, 14336}, {8192, 8192}, {14336, 14336}};
  for (const auto& [n, k] : shapes) {
    const int64_t elements = n * k;
    const BufferPtr w = random_bf16(gpu, elements * products, 1), a = random_bf16(gpu, 64 * k, 2),
                    c = gpu.allocate(size_t(64 * n * 2));
    const double bytes = double(elements) * 2 * products, at_once = read_rate(gpu, w),
                 read = read_rate_in_parts(gpu, w, products, rounds);
    for (const int m : {1, 8, 32, 64}) {
      kernels::Matmul p;
      p.m = m, p.n = n, p.k = k;
      p.a = {a->data(), k, 1}, p.b = {w->data(), 1, k};
      p.c = c->data(), p.c_row_stride = n;
      const auto rate = [&](const kernels::cuda::SkinnySchedule& s) {
        return graph_rate(gpu, bytes, rounds, [&] {
          for (int i = 0; i < products; ++i) {
            kernels::Matmul q = p;
            q.b.data = w->data() + elements * 2 * i;
            kernels::cuda::skinny_matmul(gpu.stream(), q, s, true);
          }
        });
      };
      const kernels::cuda::SkinnySchedule shipped = kernels::cuda::skinny_schedule(p);
      const double ours = rate(shipped);
      std::printf("| %d x %lld x %lld | %.0f | %.2f | %.2f | %.2f | %.3f |", m, (long long)n,
                  (long long)k, bytes / products * 1e-6, at_once / 1e12, read / 1e12, ours / 1e12,
                  ours / read);
      for (const std::string& t : tries) {
        const double other = rate(changed(shipped, t));
        std::printf(" %.2f (%.3f) |", other / 1e12, other / read);
      }
      std::printf("\n");
      std::fflush(stdout);
    }
  }
}

}  // namespace weft::bench
