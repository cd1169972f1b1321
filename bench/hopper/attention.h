// Attention on a Hopper GPU beside cuDNN's, in one process: 16384 tokens in sequences of some
// length, heads as wide as 2048 together, in graphs over two sets of buffers, each larger than L2,
// in alternation. Counted: 4 b h s^2 d operations, half of them where causal; 2.5 times as many
// backward.
#pragma once
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/hopper/cudnn_attention.h"
#include "bench/hopper/device_data.h"
#include "bench/hopper/errors.h"
#include "bench/hopper/timing.h"
#include "weft/kernels/cuda/attention.h"
#include "weft/kernels/cuda/attention_backward.h"

namespace weft::bench {

constexpr double no_peer = std::numeric_limits<double>::quiet_NaN();  // printed as "nan"

struct AttentionCase {
  static constexpr int width = 2048, copies = 2;
  struct Rows {
    BufferPtr q, k, v, o, lse;
  };
  int head_dim, length, tokens;
  std::vector<Rows> rows;
  BufferPtr scratch;
  std::vector<kernels::AttentionSegment> segments;
  kernels::AttentionShape shape;

  AttentionCase(CudaDevice& gpu, int d, int s, bool causal, int all = 16384)
      : head_dim(d), length(s), tokens(all) {
    const int64_t n = int64_t(tokens) * width;
    for (uint64_t i = 0; i < copies; ++i) {
      Rows r{random_bf16(gpu, n, 10 * i + 1), random_bf16(gpu, n, 10 * i + 2),
             random_bf16(gpu, n, 10 * i + 3), gpu.allocate(size_t(n) * 2),
             gpu.allocate(size_t(tokens * width / d) * 4)};
      rows.push_back(std::move(r));
    }
    for (int i = 0; i < tokens / s; ++i) segments.push_back({i * s, s, i * s, s});
    shape.q_rows = shape.kv_rows = tokens;
    shape.q_heads = shape.kv_heads = width / d, shape.head_dim = d;
    shape.segments = segments.data(), shape.segment_count = int64_t(segments.size());
    shape.causal = causal, shape.scale = 1 / std::sqrt(float(d));
    scratch = gpu.allocate(kernels::cuda::attention_forward_scratch_bytes(shape, gpu));
  }
  const Rows& of(int i) const { return rows[size_t(i % copies)]; }
  template <class T>
  auto heads(const BufferPtr& b) const {
    return T{b->data(), width, head_dim};
  }
  kernels::AttentionForward params(int i) const {
    using In = kernels::ConstHeadRows;
    const Rows& r = of(i);
    kernels::AttentionForward p;
    p.shape = shape, p.q = heads<In>(r.q), p.k = heads<In>(r.k), p.v = heads<In>(r.v);
    p.o = heads<kernels::HeadRows>(r.o), p.lse = reinterpret_cast<float*>(r.lse->data());
    p.scratch = scratch->data();
    return p;
  }
  CudnnShape peer_shape() const {
    return {tokens / length, width / head_dim, length, head_dim, shape.causal, shape.scale};
  }
  std::string name() const { return format("head {}, {}, S {}", head_dim, kind(), length); }
  const char* kind() const { return shape.causal ? "causal" : "full"; }
  double flops() const { return 4.0 * tokens * length * width * (shape.causal ? 0.5 : 1.0); }
  // Where f64 does not take long.
  bool has_exact() const { return length <= 1024; }
  std::vector<double> head(CudaDevice& gpu, const BufferPtr& b) const {
    return first_head(gpu, b, width, length, head_dim);
  }
  std::unique_ptr<ExactAttention> exact(CudaDevice& gpu) const {
    auto x = std::make_unique<ExactAttention>(shape, length);
    x->q = head(gpu, rows[0].q), x->k = head(gpu, rows[0].k), x->v = head(gpu, rows[0].v);
    return x;
  }
};

// cuDNN's forward pass over the same rows, with results of its own.
struct AttentionPeer {
  CudnnForward plan;
  std::vector<BufferPtr> o, lse;

  AttentionPeer(CudaDevice& gpu, const Cudnn& lib, const AttentionCase& x)
      : plan(gpu, lib, x.peer_shape()) {
    for (const AttentionCase::Rows& r : x.rows) {
      o.push_back(gpu.allocate(r.o->bytes()));
      lse.push_back(gpu.allocate(r.lse->bytes()));
    }
  }
  void run(const AttentionCase& x, int i) {
    const AttentionCase::Rows& r = x.of(i);
    const size_t to = size_t(i % AttentionCase::copies);
    plan.run(r.q->data(), r.k->data(), r.v->data(), o[to]->data(), lse[to]->data());
  }
};

inline double checked_difference(CudaDevice& gpu, const BufferPtr& peer, const BufferPtr& ours) {
  const double d = difference(gpu, ours, peer, int64_t(ours->bytes() / 2), false).relative;
  WEFT_CHECK(d < 1e-2, "results differ by {} from cuDNN's", d);
  return d;
}

// A row: cuDNN, where there is one, Weft as it ships, and with each chunk.
inline void measure_forward(CudaDevice& gpu, const Cudnn* lib, const AttentionCase& x,
                            const std::vector<int>& chunks, int rounds, Ratios& ratios,
                            ErrorTable& errors) {
  CudaStream& stream = gpu.stream();
  std::vector<Run> runs{[&](int i) { kernels::cuda::attention_forward(stream, x.params(i)); }};
  for (const int chunk : chunks)
    runs.push_back([&, chunk](int i) {
      kernels::cuda::AttentionSchedule s = kernels::cuda::attention_schedule(x.shape);
      s.chunk = chunk;
      kernels::cuda::attention_forward(stream, x.params(i), s);
    });
  std::optional<AttentionPeer> peer;
  if (lib) peer.emplace(gpu, *lib, x), runs.push_back([&](int i) { peer->run(x, i); });
  for (const Run& run : runs) run(0);  // compiled before the capture
  const double different = peer ? checked_difference(gpu, peer->o[0], x.rows[0].o) : no_peer;
  if (peer && x.has_exact()) {
    const std::vector<double> o = x.exact(gpu)->o();
    errors.add(x.name(),
               {error_of(x.head(gpu, x.rows[0].o), o), error_of(x.head(gpu, peer->o[0]), o)});
  }
  const int launches = std::max(2, int(0.008 * 500e12 / x.flops()));
  const std::vector<double> t = in_turns(stream, runs, launches, rounds);
  const double theirs = peer ? t.back() : no_peer;
  std::printf("| %s | %.1e | %.0f | %.0f | %.3f |", x.name().c_str(), different,
              x.flops() / theirs / 1e9, x.flops() / t[0] / 1e9, theirs / t[0]);
  for (size_t i = 1; i <= chunks.size(); ++i) std::printf(" %.0f |", x.flops() / t[i] / 1e9);
  std::printf("\n");
  std::fflush(stdout);
  if (peer) ratios.add(x.kind(), theirs / t[0]);
}

inline void measure_attention(CudaDevice& gpu, const Cudnn* lib, const std::vector<int>& heads,
                              const std::vector<int>& chunks, int rounds) {
  std::printf("\n| attention forward | difference | cuDNN | Weft | ratio |");
  for (const int chunk : chunks) std::printf(" chunk %d |", chunk);
  std::printf("\n|---|---|---|---|---|");
  for (size_t i = 0; i < chunks.size(); ++i) std::printf("---|");
  std::printf("\n");
  Ratios ratios;
  ErrorTable errors;
  for (const int head_dim : heads)
    for (const bool causal : {true, false})
      for (const int length : {1024, 4096, 16384})
        measure_forward(gpu, lib, AttentionCase(gpu, head_dim, length, causal), chunks, rounds,
                        ratios, errors);
  ratios.print();
  errors.print();
}

// The same shapes backward.
struct Gradients {
  BufferPtr dq, dk, dv;
  Gradients(CudaDevice& gpu, size_t bytes)
      : dq(gpu.allocate(bytes)), dk(gpu.allocate(bytes)), dv(gpu.allocate(bytes)) {}
};

struct AttentionBackwardCase {
  AttentionCase forward;
  std::vector<BufferPtr> d_o;
  std::vector<Gradients> to;
  BufferPtr scratch;

  AttentionBackwardCase(CudaDevice& gpu, int d, int s, bool causal) : forward(gpu, d, s, causal) {
    for (int i = 0; i < AttentionCase::copies; ++i) {
      kernels::cuda::attention_forward(gpu.stream(), forward.params(i));
      d_o.push_back(
          random_bf16(gpu, int64_t(forward.tokens) * AttentionCase::width, 10 * uint64_t(i) + 4));
      to.emplace_back(gpu, d_o.back()->bytes());
    }
    scratch = gpu.allocate(kernels::cuda::attention_backward_scratch_bytes(forward.shape));
  }
  kernels::AttentionBackward params(int i) const {
    using In = kernels::ConstHeadRows;
    using Out = kernels::HeadRows;
    const size_t copy = size_t(i % AttentionCase::copies);
    const kernels::AttentionForward f = forward.params(i);
    kernels::AttentionBackward p;
    p.shape = f.shape, p.q = f.q, p.k = f.k, p.v = f.v, p.lse = f.lse;
    p.o = forward.heads<In>(forward.of(i).o), p.d_o = forward.heads<In>(d_o[copy]);
    p.dq = forward.heads<Out>(to[copy].dq), p.dk = forward.heads<Out>(to[copy].dk);
    p.dv = forward.heads<Out>(to[copy].dv);
    p.scratch = scratch->data();
    return p;
  }
  double flops() const { return 2.5 * forward.flops(); }
};

// cuDNN's, from its own forward pass's results.
struct BackwardPeer {
  CudnnBackward plan;
  std::vector<Gradients> to;

  BackwardPeer(CudaDevice& gpu, const Cudnn& lib, const AttentionBackwardCase& x,
               bool deterministic)
      : plan(gpu, lib, x.forward.peer_shape(), deterministic) {
    for (const BufferPtr& d_o : x.d_o) to.emplace_back(gpu, d_o->bytes());
  }
  void run(const AttentionBackwardCase& x, const AttentionPeer& forward, int i) {
    const AttentionCase::Rows& r = x.forward.of(i);
    const size_t copy = size_t(i % AttentionCase::copies);
    plan.run({r.q->data(), r.k->data(), r.v->data(), forward.o[copy]->data(),
              forward.lse[copy]->data(), x.d_o[copy]->data(), to[copy].dq->data(),
              to[copy].dk->data(), to[copy].dv->data()});
  }
  double check(CudaDevice& gpu, const AttentionBackwardCase& x) const {
    double most = checked_difference(gpu, to[0].dq, x.to[0].dq);
    most = std::max(most, checked_difference(gpu, to[0].dk, x.to[0].dk));
    return std::max(most, checked_difference(gpu, to[0].dv, x.to[0].dv));
  }
  void add_errors(CudaDevice& gpu, const AttentionBackwardCase& x, ErrorTable& errors) const {
    const AttentionCase& f = x.forward;
    std::vector<double> dq, dk, dv;
    f.exact(gpu)->gradients(f.head(gpu, x.d_o[0]), dq, dk, dv);
    const auto add = [&](const char* name, const BufferPtr& ours, const BufferPtr& peer,
                         const std::vector<double>& exact) {
      errors.add(f.name() + ", " + name,
                 {error_of(f.head(gpu, ours), exact), error_of(f.head(gpu, peer), exact)});
    };
    add("dq", x.to[0].dq, to[0].dq, dq);
    add("dk", x.to[0].dk, to[0].dk, dk);
    add("dv", x.to[0].dv, to[0].dv, dv);
  }
};

inline void measure_backward(CudaDevice& gpu, const Cudnn* lib, const AttentionBackwardCase& x,
                             int rounds, Ratios& ratios, ErrorTable& errors) {
  CudaStream& stream = gpu.stream();
  std::vector<Run> runs{[&](int i) { kernels::cuda::attention_backward(stream, x.params(i)); }};
  std::optional<AttentionPeer> forward;
  std::vector<std::unique_ptr<BackwardPeer>> peers;
  if (lib) {
    forward.emplace(gpu, *lib, x.forward);
    for (int i = 0; i < AttentionCase::copies; ++i) forward->run(x.forward, i);
    for (const bool deterministic : {false, true}) {
      peers.push_back(std::make_unique<BackwardPeer>(gpu, *lib, x, deterministic));
      runs.push_back([&, peer = peers.back().get()](int i) { peer->run(x, *forward, i); });
    }
  }
  for (const Run& run : runs) run(0);  // compiled before the capture
  double different = lib ? 0 : no_peer;
  for (const auto& peer : peers) different = std::max(different, peer->check(gpu, x));
  if (lib && x.forward.has_exact()) peers[0]->add_errors(gpu, x, errors);
  const int launches = std::max(2, int(0.012 * 400e12 / x.flops()));
  std::vector<double> t = in_turns(stream, runs, launches, rounds);
  t.resize(3, no_peer);
  const auto rate = [&](size_t i) { return x.flops() / t[i] / 1e9; };
  std::printf("| %s | %.1e | %.0f | %.0f | %.0f | %.3f | %.3f |\n", x.forward.name().c_str(),
              different, rate(1), rate(2), rate(0), t[1] / t[0], t[2] / t[0]);
  std::fflush(stdout);
  if (!lib) return;
  ratios.add(format("{}, of cuDNN", x.forward.kind()), t[1] / t[0]);
  ratios.add(format("{}, of deterministic cuDNN", x.forward.kind()), t[2] / t[0]);
}

inline void measure_attention_backward(CudaDevice& gpu, const Cudnn* lib,
                                       const std::vector<int>& heads, int rounds) {
  std::printf(
      "\n| attention backward | difference | cuDNN | deterministic | Weft | of cuDNN | of "
      "deterministic |\n|---|---|---|---|---|---|---|\n");
  Ratios ratios;
  ErrorTable errors;
  for (const int head_dim : heads)
    for (const bool causal : {true, false})
      for (const int length : {1024, 4096, 16384})
        measure_backward(gpu, lib, AttentionBackwardCase(gpu, head_dim, length, causal), rounds,
                         ratios, errors);
  ratios.print();
  errors.print();
}

}  // namespace weft::bench
