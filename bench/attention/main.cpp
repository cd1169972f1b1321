// Attention, forward and backward: rates over shapes and threads, beside what the machine's
// multiply-add units (decode: its memory) can do, measured in the same run.
// usage: bench_attention [--threads N] [--quick]     WEFT_ISA chooses the instruction set
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <immintrin.h>
#include <vector>

#include "bench/limits.h"
#include "weft/base/random.h"
#include "weft/kernels/attention.h"

namespace weft {
namespace {

using kernels::AttentionBackward;
using kernels::AttentionForward;
using kernels::AttentionSegment;
using kernels::AttentionShape;

bool quick = false;

// Median seconds of a call: as many as fit into half a second, at least three.
template <class F>
double seconds(F&& call) {
  using Clock = std::chrono::steady_clock;
  const auto timed = [&] {
    const auto begin = Clock::now();
    call();
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  timed();
  std::vector<double> times;
  double sum = 0;
  while (times.size() < 3 || sum < (quick ? 0.02 : 0.5)) sum += times.emplace_back(timed());
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// ---- what the machine can do --------------------------------------------------------------------

// Bytes a second that all threads together read from memory.
double read_bandwidth(CpuDevice& cpu) {
  constexpr int64_t bytes = int64_t{1} << 28;
  const BufferPtr buffer = cpu.allocate(bytes);
  std::memset(buffer->data(), 1, bytes);
  const double s = bench::least_seconds([&] {
    cpu.stream().parallel_for(bytes, 4096, [&](int64_t begin, int64_t end) {
      bench::read_all(buffer->data() + begin, end - begin, 2048);
    });
  });
  return double(bytes) / s;
}

// ---- attention ----------------------------------------------------------------------------------

BufferPtr random_values(CpuDevice& cpu, int64_t n, DType dtype, uint64_t key) {
  const BufferPtr buffer = cpu.allocate(size_t(n) * dtype_size(dtype));
  const Philox random{key};
  for (int64_t i = 0; i < n; ++i) {
    const float x = uniform_float(random(uint64_t(i))[0]) * 4 - 2;
    if (dtype == DType::bf16)
      reinterpret_cast<bf16*>(buffer->data())[i] = bf16(x);
    else
      reinterpret_cast<float*>(buffer->data())[i] = x;
  }
  return buffer;
}

struct Case {
  const char* name;
  int sequences, length, q_heads, kv_heads, dim;  // length: of each sequence; decode: of its cache
  bool causal = true;
  DType dtype = DType::bf16;
};

// Buffers of a case; rows are sequences * length, or sequences when decoding.
struct Work {
  Case c;
  int64_t q_rows, kv_rows;
  std::vector<AttentionSegment> segments;
  BufferPtr q, k, v, o, d_o, dq, dk, dv, lse, scratch;

  Work(CpuDevice& cpu, const Case& which, bool decode) : c(which) {
    kv_rows = c.sequences * c.length, q_rows = decode ? c.sequences : kv_rows;
    for (int i = 0; i < c.sequences; ++i)
      segments.push_back(decode ? AttentionSegment{i, 1, i * c.length, c.length}
                                : AttentionSegment{i * c.length, c.length, i * c.length, c.length});
    const int64_t q_size = q_rows * c.q_heads * c.dim, kv_size = kv_rows * c.kv_heads * c.dim;
    q = random_values(cpu, q_size, c.dtype, 1), d_o = random_values(cpu, q_size, c.dtype, 2);
    k = random_values(cpu, kv_size, c.dtype, 3), v = random_values(cpu, kv_size, c.dtype, 4);
    o = random_values(cpu, q_size, c.dtype, 5), dq = random_values(cpu, q_size, c.dtype, 5);
    dk = random_values(cpu, kv_size, c.dtype, 5), dv = random_values(cpu, kv_size, c.dtype, 5);
    lse = cpu.allocate(size_t(q_rows * c.q_heads) * sizeof(float));
    scratch = cpu.allocate(decode ? forward_scratch(cpu)
                                  : std::max(forward_scratch(cpu), backward_scratch(cpu)));
  }

  size_t forward_scratch(CpuDevice& cpu) const {
    return kernels::attention_forward_scratch_bytes(shape(), cpu.stream().threads());
  }
  size_t backward_scratch(CpuDevice& cpu) const {
    return kernels::attention_backward_scratch_bytes(shape(), cpu.stream().threads());
  }
  AttentionShape shape() const {
    return {.q_rows = q_rows,
            .kv_rows = kv_rows,
            .q_heads = c.q_heads,
            .kv_heads = c.kv_heads,
            .head_dim = c.dim,
            .max_kv_len = c.length,
            .max_q_len = c.length,
            .segments = segments.data(),
            .segment_count = int64_t(segments.size()),
            .causal = c.causal,
            .scale = 1 / std::sqrt(float(c.dim)),
            .dtype = c.dtype};
  }
  kernels::HeadRows rows(const BufferPtr& b, int heads) const {
    return {b->data(), heads * c.dim, c.dim};
  }
  kernels::ConstHeadRows in(const BufferPtr& b, int heads) const {
    return {b->data(), heads * c.dim, c.dim};
  }

  void forward(CpuDevice& cpu) {
    AttentionForward f = {.shape = shape(),
                          .q = in(q, c.q_heads),
                          .k = in(k, c.kv_heads),
                          .v = in(v, c.kv_heads),
                          .o = rows(o, c.q_heads),
                          .lse = reinterpret_cast<float*>(lse->data()),
                          .scratch = scratch->data()};
    kernels::cpu::attention_forward(cpu.stream(), f);
  }
  void backward(CpuDevice& cpu) {
    AttentionBackward b = {.shape = shape(),
                           .q = in(q, c.q_heads),
                           .k = in(k, c.kv_heads),
                           .v = in(v, c.kv_heads),
                           .o = in(o, c.q_heads),
                           .d_o = in(d_o, c.q_heads),
                           .lse = reinterpret_cast<const float*>(lse->data()),
                           .dq = rows(dq, c.q_heads),
                           .dk = rows(dk, c.kv_heads),
                           .dv = rows(dv, c.kv_heads),
                           .scratch = scratch->data()};
    kernels::cpu::attention_backward(cpu.stream(), b);
  }
  // Of the forward pass, counting visible pairs only; the backward pass is 2.5 times as much.
  double operations() const {
    const double n = c.length;
    return 4.0 * c.sequences * c.q_heads * c.dim * (c.causal ? n * (n + 1) / 2 : n * n);
  }
};

void bench_training(CpuDevice& cpu, const Case& c, double limit) {
  Work work(cpu, c, false);
  const double forward = work.operations() / seconds([&] { work.forward(cpu); });
  const double backward = 2.5 * work.operations() / seconds([&] { work.backward(cpu); });
  std::printf("%-26s %7d  %8.3f %4.0f%%  %8.3f %4.0f%%  %8.3f  %8.1f %8.1f\n", c.name,
              cpu.stream().threads(), forward / 1e12, 100 * forward / limit, backward / 1e12,
              100 * backward / limit, limit / 1e12, double(work.forward_scratch(cpu)) / (1 << 20),
              double(work.backward_scratch(cpu)) / (1 << 20));
}

void bench_decode(CpuDevice& cpu, const Case& c, double limit) {
  Work work(cpu, c, true);
  const double s = seconds([&] { work.forward(cpu); });
  const double bytes =
      2.0 * double(work.kv_rows) * c.kv_heads * c.dim * double(dtype_size(c.dtype));
  std::printf("%-26s %7d  %8.1f %4.0f%%  %8.1f  %8.1f %8.1f\n", c.name, cpu.stream().threads(),
              bytes / s / 1e9, 100 * bytes / s / limit, limit / 1e9, s * 1e6,
              double(work.forward_scratch(cpu)) / (1 << 20));
}

void run_all(int threads) {
  CpuDevice cpu(threads);
  const double bf16_limit = bench::unit_rate(cpu.stream(), DType::bf16);
  const double f32_limit = bench::unit_rate(cpu.stream(), DType::f32);
  const double bandwidth = read_bandwidth(cpu);
  std::printf("\n%s\nTFLOP/s, the causal half counted; limit: multiply-adds in registers\n",
              cpu.description().c_str());
  std::printf("%-26s %7s  %8s %5s  %8s %5s  %8s  %17s\n", "sequences x heads x dim", "threads",
              "forward", "", "backward", "", "limit", "scratch MiB fw bw");
  for (const Case& c :
       {Case{"12 x 64, 4 x 32", 12, 64, 4, 4, 32}, Case{"4 x 64, 12 x 64", 4, 64, 12, 12, 64},
        Case{"8 x 256, 12 x 64", 8, 256, 12, 12, 64},
        Case{"4 x 1024, 12 x 64", 4, 1024, 12, 12, 64},
        Case{"1 x 2048, 16 x 64", 1, 2048, 16, 16, 64},
        Case{"1 x 2048, 16 x 64, full", 1, 2048, 16, 16, 64, false},
        Case{"1 x 2048, 16/4 x 128", 1, 2048, 16, 4, 128},
        Case{"1 x 1024, 4 x 256", 1, 1024, 4, 4, 256},
        Case{"4 x 512, 4 x 64, f32", 4, 512, 4, 4, 64, true, DType::f32}})
    bench_training(cpu, c, c.dtype == DType::bf16 ? bf16_limit : f32_limit);
  std::printf("decode, one token a sequence: GB/s of keys and values; limit: reading memory\n");
  std::printf("%-26s %7s  %8s %5s  %8s  %8s %8s\n", "sequences x keys, heads", "threads", "GB/s",
              "", "limit", "us", "scratch");
  for (const Case& c : {Case{"16 x 2048, 12 x 64", 16, 2048, 12, 12, 64},
                        Case{"16 x 2048, 16/4 x 128", 16, 2048, 16, 4, 128},
                        Case{"1 x 8192, 16/8 x 64", 1, 8192, 16, 8, 64}})
    bench_decode(cpu, c, bandwidth);
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what was measured is seen though the rest is not
  int threads = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--quick")) weft::quick = true;
    if (!std::strcmp(argv[i], "--threads") && i + 1 < argc) threads = std::atoi(argv[++i]);
  }
  if (threads) {
    weft::run_all(threads);
  } else {
    weft::run_all(1);
    weft::run_all(2);
  }
}
