// Attention on the GPU, against the f64 reference and against itself in other batches.
#include "weft/kernels/cuda/attention.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

#include "tests/expect_error.h"
#include "weft/kernels/cuda/gpu_testing.h"
#include "weft/kernels/row_testing.h"

namespace weft::kernels::cuda {
namespace {

using testing::normal;

TEST(CudaAttentionTiles, EveryTileOnceLongOnesFirstInEachSection) {
  const AttentionSchedule s;
  for (const int section : {1, 5, 12}) {
    AttentionArguments p{};
    p.segments = 3, p.q_len = 700, p.kv_len = 900, p.q_heads = 4, p.kv_heads = 2;
    p.section = section;
    std::set<std::array<int, 3>> seen;
    int before = 1000;
    for (int i = 0; i < attention_tiles(p); ++i) {
      const AttentionTile t = attention_tile(p, s, i);
      ASSERT_TRUE(t.segment >= 0 && t.segment < 3 && t.head >= 0 && t.head < 4);
      EXPECT_TRUE(seen.insert({t.q, t.head, t.segment}).second);
      if (i % (section * 6) == 0) before = 1000;
      EXPECT_LE(t.blocks, before);
      before = t.blocks;
      // The tile's last row stands at kv_len - q_len + its index and sees the keys up to there.
      const int keys = std::min(900, 200 + t.q + attention_rows);
      EXPECT_GE(t.blocks * s.key_block, keys);
      EXPECT_LT((t.blocks - 1) * s.key_block, keys);
    }
    EXPECT_EQ(seen.size(), 6u * 4 * 3);
  }
}

TEST(CudaAttentionSchedules, CompileWithoutSpillsOrSerialisedInstructions) {
  NEEDS_COMPILER();
  for (const AttentionSchedule& s : shipped_attention_schedules()) {
    EXPECT_LE(shared_bytes(s), 232448);
    EXPECT_EQ(s.chunk % s.key_block, 0);
    expect_tight(attention_source(s), 168);
  }
}

class CudaAttention : public OnHopper {};

struct Case {
  int segments, q_len, kv_len, q_heads, kv_heads, head_dim;
  bool causal = true;
  std::vector<bf16> q{}, k{}, v{};
  std::vector<AttentionSegment> list{};

  void fill(uint64_t seed) {
    q = normal<bf16>(int64_t(segments) * q_len * q_heads * head_dim, seed);
    k = normal<bf16>(int64_t(segments) * kv_len * kv_heads * head_dim, seed + 1);
    v = normal<bf16>(int64_t(segments) * kv_len * kv_heads * head_dim, seed + 2);
    for (int i = 0; i < segments; ++i) list.push_back({i * q_len, q_len, i * kv_len, kv_len});
  }
  AttentionForward params() const {
    AttentionForward p;
    p.shape.q_rows = segments * q_len, p.shape.kv_rows = segments * kv_len;
    p.shape.q_heads = q_heads, p.shape.kv_heads = kv_heads, p.shape.head_dim = head_dim;
    p.shape.segments = list.data(), p.shape.segment_count = segments;
    p.shape.causal = causal, p.shape.scale = 1 / std::sqrt(float(head_dim));
    p.q = {q.data(), int64_t(q_heads) * head_dim, head_dim};
    p.k = {k.data(), int64_t(kv_heads) * head_dim, head_dim};
    p.v = {v.data(), int64_t(kv_heads) * head_dim, head_dim};
    p.o = {nullptr, int64_t(q_heads) * head_dim, head_dim};
    return p;
  }
  std::string name() const {
    return format("{} segments of {} queries, {} keys, heads {} over {} of {}{}", segments, q_len,
                  kv_len, q_heads, kv_heads, head_dim, causal ? ", causal" : "");
  }
};

struct Result {
  std::vector<bf16> o;
  std::vector<float> lse;
};

Result on_gpu(CudaDevice& gpu, const Case& x, int chunk = 0) {
  AttentionForward p = x.params();
  const BufferPtr q = upload(gpu, x.q), k = upload(gpu, x.k), v = upload(gpu, x.v);
  const size_t rows = size_t(p.shape.q_rows) * size_t(x.q_heads);
  const BufferPtr o = gpu.allocate(x.q.size() * sizeof(bf16)),
                  lse = gpu.allocate(rows * sizeof(float));
  gpu.stream().fill(o->data(), 0xff, o->bytes());  // NaN
  gpu.stream().fill(lse->data(), 0xff, lse->bytes());
  p.q.data = q->data(), p.k.data = k->data(), p.v.data = v->data(), p.o.data = o->data();
  p.lse = reinterpret_cast<float*>(lse->data());
  const BufferPtr scratch = gpu.allocate(attention_forward_scratch_bytes(p.shape, gpu));
  p.scratch = scratch->data();
  AttentionSchedule s = attention_schedule(p.shape);
  if (chunk) s.chunk = chunk;
  attention_forward(gpu.stream(), p, s);
  return {download<bf16>(gpu, o, x.q.size()), download<float>(gpu, lse, rows)};
}

void expect_right(CudaDevice& gpu, Case x, int chunk = 0) {
  x.fill(uint64_t(x.q_len + x.kv_len));
  const Result got = on_gpu(gpu, x, chunk);
  AttentionForward p = x.params();
  std::vector<bf16> o(x.q.size());
  std::vector<float> lse(got.lse.size());
  p.o.data = o.data(), p.lse = lse.data();
  ref::attention_forward<bf16>(p);
  double difference = 0, size = 0;
  for (size_t i = 0; i < o.size(); ++i) {
    difference += std::pow(double(float(got.o[i])) - double(float(o[i])), 2);
    size += std::pow(double(float(o[i])), 2);
  }
  EXPECT_LT(std::sqrt(difference / size), 5e-3) << x.name();
  for (size_t i = 0; i < lse.size(); ++i) ASSERT_NEAR(got.lse[i], lse[i], 2e-3) << x.name();
  const Result again = on_gpu(gpu, x, chunk);
  EXPECT_TRUE(same_bits(got.o, again.o) && same_bits(got.lse, again.lse)) << x.name();
}

TEST_F(CudaAttention, EqualsTheReferenceOverOddShapes) {
  for (const int head_dim : {64, 128})
    for (const bool causal : {false, true}) {
      expect_right(*gpu_, {2, 1, 1, 1, 1, head_dim, causal});
      expect_right(*gpu_, {1, 3, 130, 2, 2, head_dim, causal});
      expect_right(*gpu_, {3, 200, 200, 4, 2, head_dim, causal});
      expect_right(*gpu_, {2, 257, 400, 4, 1, head_dim, causal});
      expect_right(*gpu_, {40, 129, 129, 6, 3, head_dim, causal});
    }
}

TEST_F(CudaAttention, ChunksAreCombinedRight) {
  for (const int head_dim : {64, 128}) {
    expect_right(*gpu_, {1, 70, 2500, 2, 1, head_dim, true});
    expect_right(*gpu_, {2, 700, 700, 2, 2, head_dim, true}, 256);
    expect_right(*gpu_, {2, 300, 900, 2, 2, head_dim, false}, 128);
  }
}

// The last queries of a prefill alone, and any batch, give the bits of the whole.
TEST_F(CudaAttention, BitsDoNotDependOnTheBatch) {
  Case whole{1, 1500, 1500, 2, 1, 128};
  whole.fill(5);
  const Result all = on_gpu(*gpu_, whole);
  for (const int rows : {1, 77, 512}) {
    Case part = whole;
    part.q_len = rows;
    const int64_t row = int64_t(part.q_heads) * part.head_dim, from = (1500 - rows) * row;
    part.q.assign(whole.q.begin() + from, whole.q.end());
    part.list = {{0, rows, 0, 1500}};
    const Result some = on_gpu(*gpu_, part);
    EXPECT_TRUE(same_bits(some.o, {all.o.begin() + from, all.o.end()})) << rows;
  }
}

TEST_F(CudaAttention, NanPropagatesToTheRowsThatSeeIt) {
  Case x{1, 300, 300, 1, 1, 64};
  x.fill(9);
  x.k[size_t(200 * 64)] = bf16(std::nanf(""));
  const Result r = on_gpu(*gpu_, x);
  EXPECT_TRUE(std::isfinite(float(r.o[199 * 64])));
  EXPECT_TRUE(std::isnan(float(r.o[200 * 64])));
  EXPECT_TRUE(std::isnan(float(r.o[299 * 64 + 63])));
}

TEST_F(CudaAttention, WhatItCannotTakeIsRefusedByName) {
  Case x{1, 8, 8, 1, 1, 64};
  x.fill(1);
  AttentionForward p = x.params();
  p.shape.window = 4;
  EXPECT_ERROR(user, "windows", attention_forward(gpu_->stream(), p));
  p.shape.window = 0, p.shape.head_dim = 96;
  EXPECT_ERROR(user, "64 or 128", attention_forward(gpu_->stream(), p));
}

}  // namespace
}  // namespace weft::kernels::cuda
