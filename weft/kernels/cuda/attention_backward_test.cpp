// Attention's gradients on the GPU, against the f64 reference and against themselves.
#include "weft/kernels/cuda/attention_backward.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>

#include "tests/expect_error.h"
#include "weft/kernels/cuda/gpu_testing.h"
#include "weft/kernels/row_testing.h"

namespace weft::kernels::cuda {
namespace {

using testing::normal;

// A turn waits for tiles with lower indices only, and every term of a gradient is added.
TEST(CudaBackwardTiles, EveryBlockOfQueriesGetsItsTermsFromTileToTile) {
  for (const bool causal : {false, true})
    for (const auto& [q_len, kv_len] : {std::pair{700, 900}, {64, 64}, {1, 300}, {513, 513}}) {
      BackwardSchedule s;
      s.causal = causal;
      BackwardArguments p{};
      p.segments = 2, p.q_heads = 4, p.kv_heads = 2;
      p.q_len = q_len, p.kv_len = kv_len, p.q_blocks = (q_len + 63) / 64;
      p.section = 3;
      std::map<std::array<int, 3>, int> added;
      for (int i = 0; i < backward_tiles(p); ++i) {
        const BackwardTile t = backward_tile(p, s, i);
        EXPECT_LT(t.first, p.q_blocks);
        for (int m = t.first; m < p.q_blocks; ++m) {
          int& before = added[{t.segment, t.kv_head, m}];
          EXPECT_EQ(before++, last_key_tile(p, s, m) - t.keys);
        }
      }
      EXPECT_EQ(added.size(), 4u * size_t(p.q_blocks));
      for (const auto& entry : added)
        EXPECT_EQ(entry.second, last_key_tile(p, s, entry.first[2]) + 1);
    }
}

TEST(CudaBackwardSchedules, CompileWithoutSpillsOrSerialisedInstructions) {
  NEEDS_COMPILER();
  for (const BackwardSchedule& s : shipped_backward_schedules()) {
    EXPECT_LE(shared_bytes(s), 232448);
    expect_tight(attention_backward_source(s), 168);
  }
}

class CudaAttentionBackward : public OnHopper {};

struct Case {
  int segments, q_len, kv_len, q_heads, kv_heads, head_dim;
  bool causal = true;

  int64_t q_size() const { return int64_t(segments) * q_len * q_heads * head_dim; }
  int64_t kv_size() const { return int64_t(segments) * kv_len * kv_heads * head_dim; }
  std::string name() const {
    return format("{} segments of {} queries, {} keys, heads {} over {} of {}{}", segments, q_len,
                  kv_len, q_heads, kv_heads, head_dim, causal ? ", causal" : "");
  }
};

struct Tensors {
  std::vector<bf16> q, k, v, d_o;
  std::vector<AttentionSegment> list;

  Tensors(const Case& x, uint64_t seed)
      : q(normal<bf16>(x.q_size(), seed)),
        k(normal<bf16>(x.kv_size(), seed + 1)),
        v(normal<bf16>(x.kv_size(), seed + 2)),
        d_o(normal<bf16>(x.q_size(), seed + 3)) {
    for (int i = 0; i < x.segments; ++i)
      list.push_back({i * x.q_len, x.q_len, i * x.kv_len, x.kv_len});
  }
  AttentionShape shape(const Case& x) const {
    AttentionShape s;
    s.q_rows = x.segments * x.q_len, s.kv_rows = x.segments * x.kv_len;
    s.q_heads = x.q_heads, s.kv_heads = x.kv_heads, s.head_dim = x.head_dim;
    s.segments = list.data(), s.segment_count = x.segments;
    s.causal = x.causal, s.scale = 1 / std::sqrt(float(x.head_dim));
    return s;
  }
};

struct Gradients {
  std::vector<bf16> dq, dk, dv;
};

Gradients on_gpu(CudaDevice& gpu, const Case& x, const Tensors& t) {
  const BufferPtr q = upload(gpu, t.q), k = upload(gpu, t.k), v = upload(gpu, t.v),
                  d_o = upload(gpu, t.d_o);
  const auto poisoned = [&](size_t bytes) {
    BufferPtr b = gpu.allocate(bytes);
    gpu.stream().fill(b->data(), 0xff, b->bytes());  // NaN
    return b;
  };
  const BufferPtr o = poisoned(t.q.size() * 2), dq = poisoned(t.q.size() * 2),
                  dk = poisoned(t.k.size() * 2), dv = poisoned(t.k.size() * 2),
                  lse = poisoned(t.q.size() / size_t(x.head_dim) * 4);
  const int64_t row = int64_t(x.q_heads) * x.head_dim, kv_row = int64_t(x.kv_heads) * x.head_dim;
  AttentionForward f;
  f.shape = t.shape(x);
  f.q = {q->data(), row, x.head_dim}, f.k = {k->data(), kv_row, x.head_dim};
  f.v = {v->data(), kv_row, x.head_dim}, f.o = {o->data(), row, x.head_dim};
  f.lse = reinterpret_cast<float*>(lse->data());
  const BufferPtr scratch = poisoned(attention_forward_scratch_bytes(f.shape, gpu));
  f.scratch = scratch->data();
  attention_forward(gpu.stream(), f);
  AttentionBackward b;
  b.shape = f.shape, b.q = f.q, b.k = f.k, b.v = f.v, b.lse = f.lse;
  b.o = {o->data(), row, x.head_dim}, b.d_o = {d_o->data(), row, x.head_dim};
  b.dq = {dq->data(), row, x.head_dim};
  b.dk = {dk->data(), kv_row, x.head_dim}, b.dv = {dv->data(), kv_row, x.head_dim};
  const BufferPtr scratch_b = poisoned(attention_backward_scratch_bytes(b.shape));
  b.scratch = scratch_b->data();
  attention_backward(gpu.stream(), b);
  return {download<bf16>(gpu, dq, t.q.size()), download<bf16>(gpu, dk, t.k.size()),
          download<bf16>(gpu, dv, t.k.size())};
}

Gradients reference(const Case& x, const Tensors& t) {
  Gradients g{std::vector<bf16>(t.q.size()), std::vector<bf16>(t.k.size()),
              std::vector<bf16>(t.k.size())};
  const int64_t row = int64_t(x.q_heads) * x.head_dim, kv_row = int64_t(x.kv_heads) * x.head_dim;
  AttentionBackward b;
  b.shape = t.shape(x);
  b.q = {t.q.data(), row, x.head_dim}, b.d_o = {t.d_o.data(), row, x.head_dim};
  b.k = {t.k.data(), kv_row, x.head_dim}, b.v = {t.v.data(), kv_row, x.head_dim};
  b.dq = {g.dq.data(), row, x.head_dim};
  b.dk = {g.dk.data(), kv_row, x.head_dim}, b.dv = {g.dv.data(), kv_row, x.head_dim};
  ref::attention_backward<bf16>(b);
  return g;
}

double error(const std::vector<bf16>& got, const std::vector<bf16>& want) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += std::pow(double(float(got[i])) - double(float(want[i])), 2);
    size += std::pow(double(float(want[i])), 2);
  }
  // Where every row sees one key alone, dq and dk are 0 and what is left of them is rounding.
  return std::sqrt(difference / std::max(size, 1e-3 * double(got.size())));
}

void expect_right(CudaDevice& gpu, const Case& x) {
  const Tensors t(x, uint64_t(x.q_len + x.kv_len));
  const Gradients got = on_gpu(gpu, x, t), want = reference(x, t);
  EXPECT_LT(error(got.dq, want.dq), 8e-3) << x.name();
  EXPECT_LT(error(got.dk, want.dk), 8e-3) << x.name();
  EXPECT_LT(error(got.dv, want.dv), 8e-3) << x.name();
  const Gradients again = on_gpu(gpu, x, t);
  EXPECT_TRUE(same_bits(got.dq, again.dq) && same_bits(got.dk, again.dk) &&
              same_bits(got.dv, again.dv))
      << x.name();
}

TEST_F(CudaAttentionBackward, EqualsTheReferenceOverOddShapes) {
  for (const int head_dim : {64, 128})
    for (const bool causal : {false, true}) {
      expect_right(*gpu_, {2, 1, 1, 1, 1, head_dim, causal});
      expect_right(*gpu_, {1, 64, 128, 1, 1, head_dim, causal});
      expect_right(*gpu_, {1, 3, 130, 2, 2, head_dim, causal});
      expect_right(*gpu_, {3, 200, 200, 4, 2, head_dim, causal});
      expect_right(*gpu_, {2, 257, 400, 4, 1, head_dim, causal});
      expect_right(*gpu_, {40, 129, 129, 6, 3, head_dim, causal});
    }
}

// More tiles than multiprocessors, and rows that many tiles add to: turns are taken in their order.
TEST_F(CudaAttentionBackward, TwoRunsGiveTheSameBits) {
  for (const int head_dim : {64, 128})
    for (const bool causal : {false, true}) {
      const Case x{2, 2500, 2500, 8, 8, head_dim, causal};
      const Tensors t(x, 3);
      const Gradients first = on_gpu(*gpu_, x, t);
      for (int run = 0; run < 3; ++run) {
        const Gradients again = on_gpu(*gpu_, x, t);
        EXPECT_TRUE(same_bits(first.dq, again.dq) && same_bits(first.dk, again.dk) &&
                    same_bits(first.dv, again.dv))
            << x.name();
      }
    }
}

TEST_F(CudaAttentionBackward, BitsDoNotDependOnTheBatch) {
  const Case all{3, 300, 300, 4, 2, 128}, one{1, 300, 300, 4, 2, 128};
  const Tensors t(all, 5);
  Tensors last = t;
  const auto cut = [](std::vector<bf16>& v, size_t n) { v.assign(v.end() - int64_t(n), v.end()); };
  cut(last.q, size_t(one.q_size())), cut(last.d_o, size_t(one.q_size()));
  cut(last.k, size_t(one.kv_size())), cut(last.v, size_t(one.kv_size()));
  Gradients whole = on_gpu(*gpu_, all, t);
  const Gradients alone = on_gpu(*gpu_, one, last);
  cut(whole.dq, alone.dq.size()), cut(whole.dk, alone.dk.size()), cut(whole.dv, alone.dv.size());
  EXPECT_TRUE(same_bits(whole.dq, alone.dq) && same_bits(whole.dk, alone.dk) &&
              same_bits(whole.dv, alone.dv));
}

TEST_F(CudaAttentionBackward, WhatItCannotTakeIsRefusedByName) {
  const Case x{1, 8, 8, 1, 1, 64};
  const Tensors t(x, 1);
  AttentionBackward b;
  b.shape = t.shape(x);
  b.shape.head_dim = 96;
  EXPECT_ERROR(user, "64 or 128", attention_backward(gpu_->stream(), b));
}

}  // namespace
}  // namespace weft::kernels::cuda
