// Attention's gradients on the GPU, against the f64 reference and against themselves.
#include "weft/kernels/cuda/attention_backward.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>

#include "tests/expect_error.h"
#include "weft/kernels/cuda/attention_maps.h"
#include "weft/kernels/cuda/attention_testing.h"
#include "weft/kernels/cuda/gpu_testing.h"
#include "weft/kernels/row_testing.h"

namespace weft::kernels::cuda {
namespace {

using testing::normal;

// A turn waits for tiles earlier in the order only, and every term of a gradient is added; every
// block of queries has somebody who writes its gradient.
TEST(CudaBackwardTiles, EveryBlockOfQueriesGetsItsTermsFromTileToTile) {
  for (const bool causal : {false, true})
    for (const int window : {0, 1, 64, 130, 1000})
      for (const auto& segments : {even_segments(2, 700, 900), even_segments(1, 513, 513),
                                   even_segments(3, 1, 300), uneven_segments()}) {
        BackwardSchedule s;
        s.causal = causal, s.windowed = window > 0;
        BackwardArguments p{};
        p.list = segment_lists(segments, {true, backward_keys, 2, 1, 1000})[0];
        p.q_heads = 4, p.window = window;
        std::map<std::array<int, 2>, int> added;
        int blocks = 0;
        for (const AttentionSegment& x : segments) blocks += query_blocks(x.q_len);
        for (int i = 0; i < order_length(p.list); ++i) {
          const BackwardTile t = backward_tile(p, s, i);
          if (t.key > 0 && t.key >= t.keys) continue;
          EXPECT_LE(t.end, query_blocks(t.q_len));
          for (int m = t.first; m < t.end; ++m) {
            const int keys = t.key / backward_keys;
            EXPECT_EQ((added[{t.head, t.q_blocks + m}]++), last_key_tile(t, s, m) - keys);
            EXPECT_GE(keys, first_key_tile(p, t, s, m));
            if (keys == first_key_tile(p, t, s, m)) added[{t.head, t.q_blocks + m}] += 1000;
          }
        }
        EXPECT_EQ(added.size(), 2u * size_t(blocks));
        for (const auto& entry : added) EXPECT_EQ(entry.second / 1000, 1);
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

template <class T>
struct Tensors {
  std::vector<T> q, k, v, d_o;

  Tensors(const AttentionCase& x, uint64_t seed)
      : q(normal<T>(x.q_rows() * x.q_stride(), seed)),
        k(normal<T>(x.kv_rows() * x.kv_stride(), seed + 1)),
        v(normal<T>(x.kv_rows() * x.kv_stride(), seed + 2)),
        d_o(normal<T>(x.q_rows() * x.q_stride(), seed + 3)) {}
};

template <class T>
struct Gradients {
  std::vector<T> dq, dk, dv;
};
template <class T>
bool same_bits(const Gradients<T>& a, const Gradients<T>& b) {
  return cuda::same_bits(a.dq, b.dq) && cuda::same_bits(a.dk, b.dk) && cuda::same_bits(a.dv, b.dv);
}

template <class T>
Gradients<T> on_gpu(CudaDevice& gpu, const AttentionCase& x, const Tensors<T>& t) {
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
  const int64_t row = x.q_stride(), kv_row = x.kv_stride();
  AttentionForward f;
  f.shape = x.shape(dtype_of<T>::value);
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
  return {download<T>(gpu, dq, t.q.size()), download<T>(gpu, dk, t.k.size()),
          download<T>(gpu, dv, t.k.size())};
}

template <class T>
Gradients<T> reference(const AttentionCase& x, const Tensors<T>& t) {
  Gradients<T> g{std::vector<T>(t.q.size()), std::vector<T>(t.k.size()),
                 std::vector<T>(t.k.size())};
  const int64_t row = x.q_stride(), kv_row = x.kv_stride();
  AttentionBackward b;
  b.shape = x.shape(dtype_of<T>::value);
  b.q = {t.q.data(), row, x.head_dim}, b.d_o = {t.d_o.data(), row, x.head_dim};
  b.k = {t.k.data(), kv_row, x.head_dim}, b.v = {t.v.data(), kv_row, x.head_dim};
  b.dq = {g.dq.data(), row, x.head_dim};
  b.dk = {g.dk.data(), kv_row, x.head_dim}, b.dv = {g.dv.data(), kv_row, x.head_dim};
  ref::attention_backward<T>(b);
  return g;
}

template <class T>
double error(const std::vector<T>& got, const std::vector<T>& want) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += std::pow(double(float(got[i])) - double(float(want[i])), 2);
    size += std::pow(double(float(want[i])), 2);
  }
  // Where every row sees one key alone, dq and dk are 0 and what is left of them is rounding.
  return std::sqrt(difference / std::max(size, 1e-3 * double(got.size())));
}

template <class T>
void expect_right(CudaDevice& gpu, const AttentionCase& x) {
  const Tensors<T> t(x, uint64_t(x.q_rows() + x.kv_rows()));
  const Gradients<T> got = on_gpu(gpu, x, t), want = reference(x, t);
  const double bound = std::is_same_v<T, f16> ? 1.5e-3 : 8e-3;
  EXPECT_LT(error(got.dq, want.dq), bound) << x.name();
  EXPECT_LT(error(got.dk, want.dk), bound) << x.name();
  EXPECT_LT(error(got.dv, want.dv), bound) << x.name();
  EXPECT_TRUE(same_bits(got, on_gpu(gpu, x, t))) << x.name();
}

TEST_F(CudaAttentionBackward, EqualsTheReferenceOverOddShapes) {
  for (const int head_dim : {64, 128})
    for (const AttentionCase& x : odd_cases(head_dim)) {
      expect_right<bf16>(*gpu_, x);
      if (x.rows_behind > 0) expect_right<f16>(*gpu_, x);
    }
}

// Small enough for the sanitizer.
TEST_F(CudaAttentionBackward, AFewRowsOfEveryModeEqualTheReference) {
  for (const int head_dim : {64, 128}) {
    expect_right<bf16>(*gpu_, {even_segments(2, 140, 300), 2, 1, head_dim});
    expect_right<f16>(*gpu_, {uneven_segments(), 1, 1, head_dim, true, 100, 1.5f, 9});
  }
}

// More tiles than multiprocessors, and rows that many tiles add to: turns are taken in their order.
TEST_F(CudaAttentionBackward, TwoRunsGiveTheSameBits) {
  for (const int head_dim : {64, 128})
    for (const bool causal : {false, true})
      for (const int window : {0, 700}) {
        const AttentionCase x{even_segments(2, 2500, 2500), 8, 8, head_dim, causal, window};
        const Tensors<bf16> t(x, 3);
        const Gradients<bf16> first = on_gpu(*gpu_, x, t);
        for (int run = 0; run < 3; ++run)
          EXPECT_TRUE(same_bits(first, on_gpu(*gpu_, x, t))) << x.name();
      }
}

TEST_F(CudaAttentionBackward, BitsDoNotDependOnTheBatch) {
  const AttentionCase all{{{0, 100, 0, 100}, {100, 300, 100, 300}}, 4, 2, 128};
  const AttentionCase one{even_segments(1, 300, 300), 4, 2, 128};
  const Tensors<bf16> t(all, 5);
  Tensors<bf16> last = t;
  const auto cut = [](std::vector<bf16>& v, size_t n) { v.assign(v.end() - int64_t(n), v.end()); };
  const size_t queries = size_t(one.q_rows() * one.q_stride());
  const size_t keys = size_t(one.kv_rows() * one.kv_stride());
  cut(last.q, queries), cut(last.d_o, queries), cut(last.k, keys), cut(last.v, keys);
  Gradients<bf16> whole = on_gpu(*gpu_, all, t);
  cut(whole.dq, queries), cut(whole.dk, keys), cut(whole.dv, keys);
  EXPECT_TRUE(same_bits(whole, on_gpu(*gpu_, one, last)));
}

TEST_F(CudaAttentionBackward, WhatItCannotTakeIsRefusedByName) {
  const AttentionCase x{even_segments(1, 8, 8)};
  AttentionBackward b;
  b.shape = x.shape();
  b.shape.head_dim = 96;
  EXPECT_ERROR(user, "64 or 128", attention_backward(gpu_->stream(), b));
}

}  // namespace
}  // namespace weft::kernels::cuda
