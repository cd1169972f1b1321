// Attention over a paged cache on the GPU: bitwise what the forward pass gives the same rows.
#include "weft/kernels/cuda/attention_paged.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

#include "tests/expect_error.h"
#include "weft/kernels/cuda/attention.h"
#include "weft/kernels/cuda/gpu_testing.h"
#include "weft/kernels/row_testing.h"

namespace weft::kernels::cuda {
namespace {

using testing::normal;

TEST(CudaPagedTiles, ATileSeesTheKeysOfItsLastQuery) {
  PagedSchedule s;
  const PagedSequence q = paged_sequence(s, 37, 1500, 16, 0);
  EXPECT_EQ(q.tiles, 3);
  EXPECT_EQ(q.chunks, 2);
  EXPECT_EQ(paged_pieces(q), 6);
  EXPECT_EQ(paged_keys(q, 0, 16), 1500 - 37 + 16);
  EXPECT_EQ(paged_keys(q, 2, 16), 1500);
  EXPECT_EQ(paged_keys(paged_sequence(s, 40, 10, 16, 0), 0, 16), 0);
  EXPECT_EQ(paged_pieces(paged_sequence(s, 0, 100, 16, 0)), 0);
  s.windowed = true;
  const PagedSequence last = paged_sequence(s, 1, 5000, 16, 100);  // keys from 4900 on
  EXPECT_EQ(last.first_chunk, 4);
  EXPECT_EQ(last.chunks, 1);
}

TEST(CudaPagedSchedules, CompileWithoutSpillsOrSerialisedInstructions) {
  NEEDS_COMPILER();
  for (const PagedSchedule& s : shipped_paged_schedules()) {
    const AttentionSchedule forward;
    EXPECT_EQ(s.key_block, forward.key_block);
    EXPECT_EQ(s.chunk, forward.chunk);
    EXPECT_LE(shared_bytes(s), 232448);
    expect_tight(paged_attention_source(s), 168);
  }
}

class CudaPagedAttention : public OnHopper {};

struct Length {
  int q, kv;
};
struct Case {
  int q_heads, kv_heads, head_dim, page;
  std::vector<Length> lengths;
  int window = 0;
  float soft_cap = 0;
  DType dtype = DType::bf16;

  int q_rows() const {
    return std::accumulate(lengths.begin(), lengths.end(), 0,
                           [](int n, const Length& l) { return n + l.q; });
  }
  int kv_rows() const {
    return std::accumulate(lengths.begin(), lengths.end(), 0,
                           [](int n, const Length& l) { return n + l.kv; });
  }
  std::string name() const {
    return format("{} sequences, heads {} over {} of {}, pages of {}, window {}, cap {}, {}",
                  lengths.size(), q_heads, kv_heads, head_dim, page, window, soft_cap,
                  dtype_name(dtype));
  }
};

struct Result {
  std::vector<bf16> o;
  std::vector<float> lse;
};

// Keys or values of all sequences in pages: page i of the i-th in order lies where the table says.
// What nobody wrote is NaN.
std::vector<bf16> in_pages(const Case& x, const std::vector<bf16>& rows, int pages, int max_pages,
                           const std::vector<int32_t>& table) {
  const int row = x.kv_heads * x.head_dim;
  std::vector<bf16> cache(size_t(pages) * size_t(x.page * row), bf16(std::nanf("")));
  int64_t from = 0;
  for (size_t i = 0; i < x.lengths.size(); ++i)
    for (int j = 0; j < x.lengths[i].kv; ++j, from += row) {
      const int64_t at = table[i * size_t(max_pages) + size_t(j / x.page)];
      if (at >= 0)
        std::copy_n(rows.begin() + from, row, cache.begin() + (at * x.page + j % x.page) * row);
    }
  return cache;
}

Result paged(CudaDevice& gpu, const Case& x, const std::vector<bf16>& q, const std::vector<bf16>& k,
             const std::vector<bf16>& v) {
  int max_pages = 0, pages = 3;
  for (const Length& l : x.lengths) {
    max_pages = std::max(max_pages, (l.kv + x.page - 1) / x.page);
    pages += (l.kv + x.page - 1) / x.page;
  }
  std::vector<int32_t> table(x.lengths.size() * size_t(max_pages), -1), begin{0}, kv_len;
  int32_t next = pages;  // from the last page to the first
  for (size_t i = 0; i < x.lengths.size(); ++i) {
    begin.push_back(begin.back() + x.lengths[i].q);
    kv_len.push_back(x.lengths[i].kv);
    const int seen_from = x.window ? x.lengths[i].kv - x.lengths[i].q - x.window + 1 : 0;
    for (int j = std::max(0, seen_from / x.page); j * x.page < x.lengths[i].kv; ++j)
      table[i * size_t(max_pages) + size_t(j)] = --next;
  }
  const BufferPtr q_gpu = upload(gpu, q),
                  k_gpu = upload(gpu, in_pages(x, k, pages, max_pages, table)),
                  v_gpu = upload(gpu, in_pages(x, v, pages, max_pages, table)),
                  table_gpu = upload(gpu, table), begin_gpu = upload(gpu, begin),
                  kv_gpu = upload(gpu, kv_len);
  const size_t rows = size_t(x.q_rows() * x.q_heads);
  const BufferPtr o = upload(gpu, std::vector<bf16>(q.size(), bf16(std::nanf("")))),
                  lse = upload(gpu, std::vector<float>(rows, std::nanf("")));
  PagedAttention p;
  p.sequences = int32_t(x.lengths.size());
  p.q_heads = x.q_heads, p.kv_heads = x.kv_heads, p.head_dim = x.head_dim;
  p.page = x.page, p.pages = pages, p.max_pages = max_pages;
  p.q_rows = x.q_rows(), p.max_kv_rows = x.kv_rows();
  for (const Length& l : x.lengths) p.max_q_len = std::max(p.max_q_len, l.q);
  p.scale = 1 / std::sqrt(float(x.head_dim));
  p.window = x.window, p.soft_cap = x.soft_cap, p.dtype = x.dtype;
  const int64_t row = int64_t(x.q_heads) * x.head_dim, kv_row = int64_t(x.kv_heads) * x.head_dim;
  p.q = {q_gpu->data(), row, x.head_dim};
  p.k = {k_gpu->data(), x.page * kv_row, kv_row, x.head_dim};
  p.v = {v_gpu->data(), x.page * kv_row, kv_row, x.head_dim};
  p.q_begin = reinterpret_cast<int32_t*>(begin_gpu->data());
  p.kv_len = reinterpret_cast<int32_t*>(kv_gpu->data());
  p.page_table = reinterpret_cast<int32_t*>(table_gpu->data());
  p.o = {o->data(), row, x.head_dim};
  p.lse = reinterpret_cast<float*>(lse->data());
  const BufferPtr scratch = gpu.allocate(paged_attention_scratch_bytes(p));
  gpu.stream().fill(scratch->data(), 0xff, scratch->bytes());
  p.scratch = scratch->data();
  paged_attention(gpu.stream(), p);
  return {download<bf16>(gpu, o, q.size()), download<float>(gpu, lse, rows)};
}

// The same rows through the forward pass, a sequence at a time.
Result forward(CudaDevice& gpu, const Case& x, const std::vector<bf16>& q,
               const std::vector<bf16>& k, const std::vector<bf16>& v) {
  const int64_t row = int64_t(x.q_heads) * x.head_dim, kv_row = int64_t(x.kv_heads) * x.head_dim;
  const BufferPtr q_gpu = upload(gpu, q), k_gpu = upload(gpu, k), v_gpu = upload(gpu, v);
  const size_t rows = size_t(x.q_rows() * x.q_heads);
  const BufferPtr o = gpu.allocate(q.size() * 2), lse = gpu.allocate(rows * 4),
                  scratch = gpu.allocate(64);
  int64_t q_at = 0, kv_at = 0;
  for (const Length& l : x.lengths) {
    const AttentionSegment segment{0, l.q, 0, l.kv};
    AttentionForward p;
    p.shape.q_rows = l.q, p.shape.kv_rows = l.kv;
    p.shape.q_heads = x.q_heads, p.shape.kv_heads = x.kv_heads, p.shape.head_dim = x.head_dim;
    p.shape.segments = &segment, p.shape.segment_count = 1;
    p.shape.scale = 1 / std::sqrt(float(x.head_dim));
    p.shape.window = x.window, p.shape.soft_cap = x.soft_cap, p.shape.dtype = x.dtype;
    p.q = {q_gpu->data() + q_at * row * 2, row, x.head_dim};
    p.k = {k_gpu->data() + kv_at * kv_row * 2, kv_row, x.head_dim};
    p.v = {v_gpu->data() + kv_at * kv_row * 2, kv_row, x.head_dim};
    p.o = {o->data() + q_at * row * 2, row, x.head_dim};
    p.lse = reinterpret_cast<float*>(lse->data()) + q_at * x.q_heads;
    p.scratch = scratch->data();
    attention_forward(gpu.stream(), p);
    q_at += l.q, kv_at += l.kv;
  }
  return {download<bf16>(gpu, o, q.size()), download<float>(gpu, lse, rows)};
}

// 16 bits each, whatever the type.
std::vector<bf16> values(const Case& x, int64_t n, uint64_t seed) {
  std::vector<bf16> bits = normal<bf16>(n, seed);
  if (x.dtype == DType::f16)
    for (bf16& b : bits) b.bits = f16(float(b)).bits;
  return bits;
}

void expect_equal(CudaDevice& gpu, const Case& x) {
  const uint64_t seed = uint64_t(x.kv_rows());
  const auto q = values(x, int64_t(x.q_rows()) * x.q_heads * x.head_dim, seed);
  const auto k = values(x, int64_t(x.kv_rows()) * x.kv_heads * x.head_dim, seed + 1);
  const auto v = values(x, int64_t(x.kv_rows()) * x.kv_heads * x.head_dim, seed + 2);
  const Result got = paged(gpu, x, q, k, v), want = forward(gpu, x, q, k, v);
  EXPECT_TRUE(same_bits(got.o, want.o)) << x.name();
  EXPECT_TRUE(same_bits(got.lse, want.lse)) << x.name();
}

TEST_F(CudaPagedAttention, DecodeHasTheBitsOfTheForwardPass) {
  for (const int head_dim : {64, 128})
    for (const int page : {16, 32, 64, 128, 256}) {
      expect_equal(*gpu_, {4, 1, head_dim, page, {{1, 1}, {1, 17}, {1, 1024}, {1, 1025}}});
      expect_equal(*gpu_, {6, 2, head_dim, page, {{1, 130}, {1, 2500}, {1, 5000}}});
    }
}

// Small enough for the sanitizer.
TEST_F(CudaPagedAttention, AFewPagesHaveTheBitsOfTheForwardPass) {
  expect_equal(*gpu_, {4, 2, 128, 16, {{1, 150}, {3, 1100}}});
}

TEST_F(CudaPagedAttention, ManySequencesAndManyQueriesHaveTheBitsOfTheForwardPass) {
  Case many{8, 2, 128, 16, {}};
  for (int i = 0; i < 130; ++i) many.lengths.push_back({1, 1 + i * 37 % 3000});
  expect_equal(*gpu_, many);
  for (const int group : {1, 3, 16, 64})
    expect_equal(*gpu_, {2 * group, 2, 128, 32, {{5, 700}, {70, 1300}, {1, 40}, {129, 129}}});
}

// Decode, chunked prefill, queries in front of the first key; pages in front of every window are
// gone.
TEST_F(CudaPagedAttention, AllModesHaveTheBitsOfTheForwardPass) {
  const std::vector<Length> lengths{{1, 1},    {1, 2500}, {7, 1100}, {100, 1300},
                                    {1, 3000}, {40, 10},  {30, 0},   {150, 150}};
  for (const int head_dim : {64, 128})
    for (const int page : {16, 64}) {
      expect_equal(*gpu_, {4, 2, head_dim, page, lengths});
      for (const int window : {1, 100, 1024, 1500})
        expect_equal(*gpu_, {4, 2, head_dim, page, lengths, window});
      expect_equal(*gpu_, {4, 1, head_dim, page, lengths, 0, 1.5f});
      expect_equal(*gpu_, {4, 4, head_dim, page, lengths, 0, 0, DType::f16});
      expect_equal(*gpu_, {8, 2, head_dim, page, lengths, 700, 1.5f, DType::f16});
    }
}

TEST_F(CudaPagedAttention, WhatItCannotTakeIsRefusedByName) {
  PagedAttention p;
  p.sequences = p.kv_heads = p.q_heads = 1, p.q_rows = 1, p.head_dim = 64;
  p.page = 24;
  EXPECT_ERROR(user, "pages of 16", paged_attention(gpu_->stream(), p));
  p.page = 16, p.sequences = 1000;
  EXPECT_ERROR(user, "at most 512 sequences", paged_attention(gpu_->stream(), p));
}

}  // namespace
}  // namespace weft::kernels::cuda
