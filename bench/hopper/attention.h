// Rates of attention on a Hopper GPU: 16384 tokens in sequences of some length, heads as wide as
// 2048 together. Counted: 4 b h s^2 d operations, half of them where causal. The peer, cuDNN
// through PyTorch on the same shapes, is bench/peers/attention_gpu.py.
#pragma once
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/hopper/device_data.h"
#include "bench/hopper/timing.h"
#include "weft/kernels/cuda/attention.h"
#include "weft/kernels/cuda/attention_backward.h"

namespace weft::bench {

struct AttentionCase {
  static constexpr int tokens = 16384, width = 2048;
  int head_dim, length;
  BufferPtr q, k, v, o, lse, scratch;
  std::vector<kernels::AttentionSegment> segments;
  kernels::AttentionForward p;

  AttentionCase(CudaDevice& gpu, int d, int s, bool causal) : head_dim(d), length(s) {
    const int64_t n = int64_t(tokens) * width;
    q = random_bf16(gpu, n, 1), k = random_bf16(gpu, n, 2), v = random_bf16(gpu, n, 3);
    o = gpu.allocate(size_t(n) * 2), lse = gpu.allocate(size_t(tokens * width / d) * 4);
    for (int i = 0; i < tokens / s; ++i) segments.push_back({i * s, s, i * s, s});
    scratch = gpu.allocate(kernels::cuda::attention_forward_scratch_bytes(p.shape, gpu));
    p.scratch = scratch->data();
    p.shape.q_rows = p.shape.kv_rows = tokens;
    p.shape.q_heads = p.shape.kv_heads = width / d, p.shape.head_dim = d;
    p.shape.segments = segments.data(), p.shape.segment_count = int64_t(segments.size());
    p.shape.causal = causal, p.shape.scale = 1 / std::sqrt(float(d));
    p.q = {q->data(), width, d}, p.k = {k->data(), width, d}, p.v = {v->data(), width, d};
    p.o = {o->data(), width, d}, p.lse = reinterpret_cast<float*>(lse->data());
  }
  double flops() const { return 4.0 * tokens * length * width * (p.shape.causal ? 0.5 : 1.0); }
};

// TFLOP/s with each chunk, in turns.
inline std::vector<double> attention_rates(CudaDevice& gpu, const AttentionCase& x,
                                           const std::vector<int>& chunks, int rounds) {
  CudaStream& stream = gpu.stream();
  std::vector<std::vector<double>> rates(chunks.size());
  const int launches = std::max(2, int(0.008 * 500e12 / x.flops()));
  for (int round = 0; round <= rounds; ++round)
    for (size_t i = 0; i < chunks.size(); ++i) {
      kernels::cuda::AttentionSchedule s = kernels::cuda::attention_schedule(x.p.shape);
      if (chunks[i]) s.chunk = chunks[i];
      const double t = milliseconds(stream, [&] {
        for (int j = 0; j < launches; ++j) kernels::cuda::attention_forward(stream, x.p, s);
      });
      if (round > 0) rates[i].push_back(x.flops() * launches / t / 1e9);
    }
  std::vector<double> result;
  for (const auto& r : rates) result.push_back(median(r));
  return result;
}

// The same shapes backward; 2.5 times the operations.
struct AttentionBackwardCase {
  AttentionCase forward;
  BufferPtr d_o, dq, dk, dv, scratch;
  kernels::AttentionBackward p;

  AttentionBackwardCase(CudaDevice& gpu, int d, int s, bool causal) : forward(gpu, d, s, causal) {
    const kernels::AttentionForward& f = forward.p;
    kernels::cuda::attention_forward(gpu.stream(), f);
    const size_t bytes = forward.q->bytes();
    d_o = random_bf16(gpu, int64_t(AttentionCase::tokens) * AttentionCase::width, 4);
    dq = gpu.allocate(bytes), dk = gpu.allocate(bytes), dv = gpu.allocate(bytes);
    scratch = gpu.allocate(kernels::cuda::attention_backward_scratch_bytes(f.shape));
    const auto rows = [&](const BufferPtr& b) {
      return kernels::HeadRows{b->data(), AttentionCase::width, d};
    };
    p.shape = f.shape, p.q = f.q, p.k = f.k, p.v = f.v, p.lse = f.lse;
    p.o = {f.o.data, f.o.row_stride, f.o.head_stride};
    p.d_o = {d_o->data(), AttentionCase::width, d};
    p.dq = rows(dq), p.dk = rows(dk), p.dv = rows(dv);
    p.scratch = scratch->data();
  }
  double flops() const { return 2.5 * forward.flops(); }
};

inline double attention_backward_rate(CudaDevice& gpu, const AttentionBackwardCase& x, int rounds) {
  CudaStream& stream = gpu.stream();
  const int launches = std::max(2, int(0.012 * 400e12 / x.flops()));
  std::vector<double> rates;
  for (int round = 0; round <= rounds; ++round) {
    const double t = milliseconds(stream, [&] {
      for (int j = 0; j < launches; ++j) kernels::cuda::attention_backward(stream, x.p);
    });
    if (round > 0) rates.push_back(x.flops() * launches / t / 1e9);
  }
  return median(rates);
}

inline void measure_attention_backward(CudaDevice& gpu, const std::vector<int>& heads, int rounds) {
  std::printf("\n| attention backward | TFLOP/s |\n|---|---|\n");
  for (const int head_dim : heads)
    for (const bool causal : {true, false})
      for (const int length : {1024, 4096, 16384}) {
        const AttentionBackwardCase x(gpu, head_dim, length, causal);
        std::printf("| head %d, %s, S %d | %.0f |\n", head_dim, causal ? "causal" : "full", length,
                    attention_backward_rate(gpu, x, rounds));
        std::fflush(stdout);
      }
}

// A row a shape; a column for the shipped chunk and each in `chunks`.
inline void measure_attention(CudaDevice& gpu, const std::vector<int>& heads,
                              std::vector<int> chunks, int rounds) {
  chunks.insert(chunks.begin(), 0);
  std::printf("\n| attention forward | shipped |");
  for (size_t i = 1; i < chunks.size(); ++i) std::printf(" chunk %d |", chunks[i]);
  std::printf("\n|---|%s", "---|");
  for (size_t i = 1; i < chunks.size(); ++i) std::printf("---|");
  std::printf("\n");
  for (const int head_dim : heads)
    for (const bool causal : {true, false})
      for (const int length : {1024, 4096, 16384}) {
        const AttentionCase x(gpu, head_dim, length, causal);
        std::printf("| head %d, %s, S %d |", head_dim, causal ? "causal" : "full", length);
        for (const double r : attention_rates(gpu, x, chunks, rounds)) std::printf(" %.0f |", r);
        std::printf("\n");
        std::fflush(stdout);
      }
}

}  // namespace weft::bench
