// Attention on the GPU, against the f64 reference and against itself in other batches.
#include "weft/kernels/cuda/attention.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

#include "tests/expect_error.h"
#include "weft/kernels/cuda/attention_maps.h"
#include "weft/kernels/cuda/attention_testing.h"
#include "weft/kernels/cuda/gpu_testing.h"
#include "weft/kernels/row_testing.h"

namespace weft::kernels::cuda {
namespace {

using testing::normal;

TEST(CudaAttentionSegments, RowsOfNoSegmentBecomeSegments) {
  AttentionShape shape;
  const std::vector<AttentionSegment> list{{3, 5, 0, 5}, {8, 2, 7, 9}};
  shape.segments = list.data(), shape.segment_count = 2;
  shape.q_rows = 12, shape.kv_rows = 20;
  int64_t queries = 0, keys = 0;
  for (const AttentionSegment& s : all_rows(shape, true)) queries += s.q_len, keys += s.kv_len;
  EXPECT_EQ(queries, 12);
  EXPECT_EQ(keys, 20);
  EXPECT_EQ(all_rows(shape, false).size(), 4u);
}

// Also that those with the most keys go first in what is worked on together.
TEST(CudaAttentionSegments, EveryTileIsInTheOrderOnce) {
  for (const int64_t together : {1, 600, 3000, 30000, 1000000})
    for (const auto& segments : {even_segments(5, 700, 900), many_segments()}) {
      SegmentOrder order;
      order.tile_rows = 128, order.heads = 5, order.row_bytes = 1;
      order.shared_bytes = together;
      std::set<std::array<int, 3>> seen;
      size_t tiles = 0;
      for (const SegmentList& list : segment_lists(segments, order)) {
        AttentionArguments p{};
        p.list = list;
        AttentionTile before{};
        for (int i = 0; i < order_length(list); ++i) {
          const AttentionTile t = attention_tile(p, AttentionSchedule(), i);
          if (t.rows == 0) continue;
          ASSERT_TRUE(seen.insert({t.q, t.head, t.kv}).second);
          if (together == 1000000 && before.rows > 0) {
            EXPECT_LE(t.end, before.end);
          }
          before = t;
        }
      }
      for (const AttentionSegment& s : segments) tiles += size_t(s.q_len + 127) / 128 * 5;
      EXPECT_EQ(seen.size(), tiles);
    }
}

TEST(CudaAttentionTiles, ATileHasTheBlocksThatItsRowsSee) {
  AttentionSchedule s;
  AttentionArguments p{};
  p.list = segment_lists(even_segments(1, 700, 900), {false, 128, 1, 1, 1})[0];
  for (const bool windowed : {false, true})
    for (const int window : {1, 128, 300}) {
      s.windowed = windowed, p.window = window;
      for (int i = 0; i < order_length(p.list); ++i) {
        const AttentionTile t = attention_tile(p, s, i);
        EXPECT_EQ(t.position, 200 + t.q);
        const int last = t.position + t.rows - 1;
        EXPECT_EQ(t.end, last / s.key_block + 1);
        EXPECT_EQ(t.first, windowed ? std::max(0, t.position - window + 1) / s.key_block : 0);
      }
    }
}

// Heads of 64: 700 queries are 124 and three times 192, and each warpgroup ends where its rows do.
TEST(CudaAttentionTiles, TheShortTileComesFirstAndEachWarpgroupHasItsOwnEnd) {
  AttentionSchedule s;
  s.head_dim = 64, s.groups = 3;
  AttentionArguments p{};
  p.list = segment_lists(even_segments(1, 700, 900), {false, 192, 1, 1, 1})[0];
  ASSERT_EQ(order_length(p.list), 4);
  for (int i = 0; i < 4; ++i) {  // the last goes first
    const AttentionTile t = attention_tile(p, s, 3 - i);
    EXPECT_EQ(t.q, i == 0 ? 0 : 124 + (i - 1) * 192);
    EXPECT_EQ(t.rows, i == 0 ? 124 : 192);
    for (int group = 0; group < 3; ++group) {
      const int last = t.position + std::min(64 * group + 63, t.rows - 1);
      EXPECT_EQ(own_end(s, t, group), last / s.key_block + 1);
    }
  }
}

TEST(CudaAttentionSchedules, CompileWithoutSpillsOrSerialisedInstructions) {
  NEEDS_COMPILER();
  for (const AttentionSchedule& s : shipped_attention_schedules()) {
    EXPECT_LE(shared_bytes(s), 232448);
    EXPECT_EQ(s.chunk % s.key_block, 0);
    expect_tight(attention_source(s), s.groups == 2 ? 168 : 128);
  }
}

class CudaAttention : public OnHopper {};

template <class T>
struct Tensors {
  std::vector<T> q, k, v;
  Tensors(const AttentionCase& x, uint64_t seed)
      : q(normal<T>(x.q_rows() * x.q_stride(), seed)),
        k(normal<T>(x.kv_rows() * x.kv_stride(), seed + 1)),
        v(normal<T>(x.kv_rows() * x.kv_stride(), seed + 2)) {}
};
template <class T>
struct Result {
  std::vector<T> o;
  std::vector<float> lse;
};

template <class T>
Result<T> on_gpu(CudaDevice& gpu, const AttentionCase& x, const Tensors<T>& t, int chunk = 0,
                 int groups = 0) {
  const BufferPtr q = upload(gpu, t.q), k = upload(gpu, t.k), v = upload(gpu, t.v);
  const size_t rows = size_t(x.q_rows() * x.q_heads);
  const BufferPtr o = gpu.allocate(t.q.size() * sizeof(T)),
                  lse = gpu.allocate(rows * sizeof(float));
  gpu.stream().fill(o->data(), 0xff, o->bytes());  // NaN
  gpu.stream().fill(lse->data(), 0xff, lse->bytes());
  AttentionForward p;
  p.shape = x.shape(dtype_of<T>::value);
  p.q = {q->data(), x.q_stride(), x.head_dim};
  p.k = {k->data(), x.kv_stride(), x.head_dim}, p.v = {v->data(), x.kv_stride(), x.head_dim};
  p.o = {o->data(), x.q_stride(), x.head_dim};
  p.lse = reinterpret_cast<float*>(lse->data());
  const BufferPtr scratch = gpu.allocate(attention_forward_scratch_bytes(p.shape, gpu));
  p.scratch = scratch->data();
  AttentionSchedule s = attention_schedule(p.shape);
  if (chunk) s.chunk = chunk;
  if (groups) s.groups = groups;
  attention_forward(gpu.stream(), p, s);
  return {download<T>(gpu, o, t.q.size()), download<float>(gpu, lse, rows)};
}

template <class T>
Result<T> reference(const AttentionCase& x, const Tensors<T>& t) {
  Result<T> r{std::vector<T>(t.q.size()), std::vector<float>(size_t(x.q_rows() * x.q_heads))};
  AttentionForward p;
  p.shape = x.shape(dtype_of<T>::value);
  p.q = {t.q.data(), x.q_stride(), x.head_dim};
  p.k = {t.k.data(), x.kv_stride(), x.head_dim}, p.v = {t.v.data(), x.kv_stride(), x.head_dim};
  p.o = {r.o.data(), x.q_stride(), x.head_dim};
  p.lse = r.lse.data();
  ref::attention_forward<T>(p);
  return r;
}

template <class T>
void expect_right(CudaDevice& gpu, const AttentionCase& x, int chunk = 0) {
  const Tensors<T> t(x, uint64_t(x.q_rows() + x.kv_rows()));
  const Result<T> got = on_gpu(gpu, x, t, chunk), want = reference(x, t);
  double difference = 0, size = 0;
  for (size_t i = 0; i < want.o.size(); ++i) {
    difference += std::pow(double(float(got.o[i])) - double(float(want.o[i])), 2);
    size += std::pow(double(float(want.o[i])), 2);
  }
  const double bound = std::is_same_v<T, f16> ? 8e-4 : 5e-3;
  EXPECT_LE(std::sqrt(difference), bound * std::sqrt(size)) << x.name();
  for (size_t i = 0; i < want.lse.size(); ++i) {
    const bool both_empty = std::isinf(got.lse[i]) && got.lse[i] == want.lse[i];
    ASSERT_NEAR(both_empty ? 0 : got.lse[i], both_empty ? 0 : want.lse[i], 2e-3) << x.name();
  }
  const Result<T> again = on_gpu(gpu, x, t, chunk);
  EXPECT_TRUE(same_bits(got.o, again.o) && same_bits(got.lse, again.lse)) << x.name();
}

TEST_F(CudaAttention, EqualsTheReferenceOverOddShapes) {
  for (const int head_dim : {64, 128})
    for (const AttentionCase& x : odd_cases(head_dim)) {
      expect_right<bf16>(*gpu_, x);
      if (x.rows_behind > 0) expect_right<f16>(*gpu_, x);
    }
}

// Small enough for the sanitizer.
TEST_F(CudaAttention, AFewRowsOfEveryModeEqualTheReference) {
  for (const int head_dim : {64, 128}) {
    expect_right<bf16>(*gpu_, {even_segments(2, 140, 1200), 2, 1, head_dim});
    expect_right<f16>(*gpu_, {uneven_segments(), 1, 1, head_dim, true, 100, 1.5f, 9});
  }
  const AttentionCase large{even_segments(1, 400, 1300), 2, 1, 64, true, 700};
  on_gpu(*gpu_, large, Tensors<bf16>(large, 1), 0, 3);
}

TEST_F(CudaAttention, ChunksAreCombinedRight) {
  for (const int head_dim : {64, 128}) {
    expect_right<bf16>(*gpu_, {even_segments(1, 70, 2500), 2, 1, head_dim});
    expect_right<bf16>(*gpu_, {even_segments(1, 300, 2500), 2, 1, head_dim, true, 1500});
    expect_right<bf16>(*gpu_, {even_segments(2, 700, 700), 2, 2, head_dim}, 256);
    expect_right<bf16>(*gpu_, {even_segments(2, 300, 900), 2, 2, head_dim, false}, 128);
  }
}

// Tiles of 128 and of 192 queries give a row the same.
TEST_F(CudaAttention, BitsDoNotDependOnTheTile) {
  for (const AttentionCase& x : odd_cases(64)) {
    const Tensors<bf16> t(x, 4);
    const Result<bf16> small = on_gpu(*gpu_, x, t, 0, 2), large = on_gpu(*gpu_, x, t, 0, 3);
    EXPECT_TRUE(same_bits(small.o, large.o) && same_bits(small.lse, large.lse)) << x.name();
  }
}

template <class T>
std::vector<T> cut(const std::vector<T>& v, int64_t from, int64_t count) {
  return {v.begin() + from, v.begin() + from + count};
}

// The last queries of a prefill alone give the bits of the whole.
TEST_F(CudaAttention, BitsDoNotDependOnTheQueriesOfACall) {
  for (const int window : {0, 900}) {
    const AttentionCase whole{even_segments(1, 1500, 1500), 2, 1, 128, true, window};
    const Tensors<bf16> t(whole, 5);
    const Result<bf16> all = on_gpu(*gpu_, whole, t);
    for (const int rows : {1, 77, 512}) {
      AttentionCase part = whole;
      part.segments = {{0, rows, 0, 1500}};
      const int64_t from = (1500 - rows) * whole.q_stride(), count = rows * whole.q_stride();
      Tensors<bf16> last = t;
      last.q = cut(t.q, from, count);
      const Result<bf16> some = on_gpu(*gpu_, part, last);
      EXPECT_TRUE(same_bits(some.o, cut(all.o, from, count))) << rows << ", window " << window;
    }
  }
}

// Packed documents give the bits of each alone, whatever the others hold.
TEST_F(CudaAttention, BitsDoNotDependOnTheOtherSegments) {
  const AttentionCase packed{uneven_segments(), 2, 1, 64, true, 0, 0, 9};
  Tensors<bf16> t(packed, 7);
  const Result<bf16> all = on_gpu(*gpu_, packed, t);
  for (const AttentionSegment& s : packed.segments) {
    if (s.q_len == 0 || s.kv_len == 0) continue;
    AttentionCase one = packed;
    one.rows_behind = 0, one.segments = {{0, s.q_len, 0, s.kv_len}};
    Tensors<bf16> own(one, 0);
    own.q = cut(t.q, s.q_begin * packed.q_stride(), s.q_len * packed.q_stride());
    own.k = cut(t.k, s.kv_begin * packed.kv_stride(), s.kv_len * packed.kv_stride());
    own.v = cut(t.v, s.kv_begin * packed.kv_stride(), s.kv_len * packed.kv_stride());
    const int64_t from = s.q_begin * packed.q_stride();
    EXPECT_TRUE(same_bits(on_gpu(*gpu_, one, own).o, cut(all.o, from, int64_t(own.q.size()))));
  }
  const AttentionSegment first = packed.segments[0];
  std::fill(t.v.begin() + first.kv_len * packed.kv_stride(), t.v.end(), bf16(std::nanf("")));
  const int64_t rows = (first.q_begin + first.q_len) * packed.q_stride();
  EXPECT_TRUE(same_bits(cut(on_gpu(*gpu_, packed, t).o, 0, rows), cut(all.o, 0, rows)));
}

TEST_F(CudaAttention, NanPropagatesToTheRowsThatSeeIt) {
  const AttentionCase x{even_segments(1, 300, 300)};
  Tensors<bf16> t(x, 9);
  t.k[size_t(200 * 64)] = bf16(std::nanf(""));
  const Result<bf16> r = on_gpu(*gpu_, x, t);
  EXPECT_TRUE(std::isfinite(float(r.o[199 * 64])));
  EXPECT_TRUE(std::isnan(float(r.o[200 * 64])));
  EXPECT_TRUE(std::isnan(float(r.o[299 * 64 + 63])));
}

TEST_F(CudaAttention, WhatItCannotTakeIsRefusedByName) {
  const AttentionCase x{even_segments(1, 8, 8)};
  AttentionForward p;
  p.shape = x.shape();
  p.shape.head_dim = 96;
  EXPECT_ERROR(user, "64 or 128", attention_forward(gpu_->stream(), p));
  p.shape.head_dim = 64, p.shape.dtype = DType::f32;
  EXPECT_ERROR(user, "bf16 or f16", attention_forward(gpu_->stream(), p));
}

}  // namespace
}  // namespace weft::kernels::cuda
