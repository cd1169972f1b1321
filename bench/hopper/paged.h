// Decode over a paged cache on a Hopper GPU, against the rate at which the same memory can be read:
// 8 key heads of 128 with 4 query heads each. A batch of 256 with contexts from 1k to 8k, and one
// sequence of 128k.
#pragma once
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "bench/hopper/device_data.h"
#include "bench/hopper/timing.h"
#include "weft/kernels/cuda/attention_paged.h"

namespace weft::bench {

// Bytes a second at which a kernel that does nothing else reads a buffer; the best of some runs.
inline double read_rate(CudaDevice& gpu, const BufferPtr& buffer) {
  uint64_t n = buffer->bytes() / 16;
  const BufferPtr sum = gpu.allocate(16);
  std::byte *from = buffer->data(), *to = sum->data();
  void* arguments[] = {&from, &n, &to};
  const CudaKernel& kernel = data_kernel(gpu, "read_all");
  double best = 0;
  for (int run = 0; run < 6; ++run) {
    const double t = milliseconds(gpu.stream(), [&] {
      kernel.launch(gpu.stream(), {unsigned(gpu.multiprocessors() * 8), 1, 1, 256}, arguments);
    });
    if (run > 0) best = std::max(best, double(n) * 16 / t * 1e3);
  }
  return best;
}

template <class T>
BufferPtr to_device(CudaDevice& gpu, const std::vector<T>& values) {
  BufferPtr b = gpu.allocate(values.size() * sizeof(T));
  gpu.copy_from_host(b->data(), reinterpret_cast<const std::byte*>(values.data()),
                     values.size() * sizeof(T));
  return b;
}

struct PagedCase {
  static constexpr int heads = 32, kv_heads = 8, width = 128;
  std::vector<int32_t> lengths;
  BufferPtr cache, q, o, begin, kv_len, table, scratch;
  kernels::cuda::PagedAttention p;

  // Keys and values of a page lie behind each other; pages are dealt in a scattered order.
  PagedCase(CudaDevice& gpu, std::vector<int32_t> kv, int page) : lengths(std::move(kv)) {
    const int64_t row = kv_heads * width;
    int32_t pages = 0, max_pages = 0;
    for (const int32_t n : lengths) {
      pages += (n + page - 1) / page;
      max_pages = std::max(max_pages, (n + page - 1) / page);
    }
    cache = random_bf16(gpu, pages * row * page * 2, 1);
    q = random_bf16(gpu, int64_t(lengths.size()) * heads * width, 2);
    o = gpu.allocate(q->bytes());
    std::vector<int32_t> rows(lengths.size() + 1), pages_of(lengths.size() * size_t(max_pages));
    std::iota(rows.begin(), rows.end(), 0);
    int64_t next = 0;
    int32_t step = 7919;  // prime; no common factor with the number of pages
    while (std::gcd(step, pages) != 1) ++step;
    for (size_t i = 0; i < lengths.size(); ++i)
      for (int32_t j = 0; j * page < lengths[i]; ++j)
        pages_of[i * size_t(max_pages) + size_t(j)] = int32_t(next++ * step % pages);
    begin = to_device(gpu, rows), kv_len = to_device(gpu, lengths),
    table = to_device(gpu, pages_of);
    p.sequences = int32_t(lengths.size());
    p.q_heads = heads, p.kv_heads = kv_heads, p.head_dim = width;
    p.page = page, p.pages = pages, p.max_pages = max_pages;
    p.q_rows = p.sequences;
    p.max_kv_rows = std::accumulate(lengths.begin(), lengths.end(), int64_t(0));
    p.scale = 1 / std::sqrt(float(width));
    p.q = {q->data(), heads * width, width}, p.o = {o->data(), heads * width, width};
    p.k = {cache->data(), 2 * page * row, row, width};
    p.v = {cache->data() + page * row * 2, 2 * page * row, row, width};
    p.q_begin = reinterpret_cast<int32_t*>(begin->data());
    p.kv_len = reinterpret_cast<int32_t*>(kv_len->data());
    p.page_table = reinterpret_cast<int32_t*>(table->data());
    scratch = gpu.allocate(kernels::cuda::paged_attention_scratch_bytes(p));
    p.scratch = scratch->data();
  }
  double bytes() const { return double(p.max_kv_rows) * kv_heads * width * 2 * 2; }
};

inline void measure_paged(CudaDevice& gpu, int rounds) {
  std::vector<int32_t> mixed, one{131072};
  for (int i = 0; i < 256; ++i) mixed.push_back(1024 + 7168 * (i * 37 % 256) / 255);
  std::printf("\n| decode | read, TB/s | Weft, TB/s | ratio |\n|---|---|---|---|\n");
  for (const int page : {16, 64, 256})
    for (const auto& lengths : {mixed, one}) {
      const PagedCase x(gpu, lengths, page);
      const double read = read_rate(gpu, x.cache);
      std::vector<double> rates;
      const auto run = [&] { kernels::cuda::paged_attention(gpu.stream(), x.p); };
      run();  // compiled before the capture
      CudaGraph graph(gpu.stream(), run);
      for (int round = 0; round <= rounds; ++round) {
        const double t = milliseconds(gpu.stream(), [&] { graph.launch(gpu.stream()); });
        if (round > 0) rates.push_back(x.bytes() / t * 1e3);
      }
      const double rate = median(rates);
      std::printf("| %s, pages of %d | %.2f | %.2f | %.3f |\n",
                  lengths.size() == 1 ? "one sequence of 128k" : "256 sequences of 1k to 8k", page,
                  read / 1e12, rate / 1e12, rate / read);
      std::fflush(stdout);
    }
}

}  // namespace weft::bench
