// What the tests of attention on the GPU share: a call's shape.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "weft/base/format.h"
#include "weft/kernels/attention.h"

namespace weft::kernels::cuda {

inline std::vector<AttentionSegment> even_segments(int count, int q_len, int kv_len) {
  std::vector<AttentionSegment> all;
  for (int i = 0; i < count; ++i) all.push_back({i * q_len, q_len, i * kv_len, kv_len});
  return all;
}

struct AttentionCase {
  std::vector<AttentionSegment> segments;
  int q_heads = 1, kv_heads = 1, head_dim = 64;
  bool causal = true;
  int window = 0;
  float soft_cap = 0;
  int rows_behind = 0;  // of queries and keys, that no segment has

  int64_t q_rows() const {
    int64_t n = 0;
    for (const AttentionSegment& s : segments) n = std::max<int64_t>(n, s.q_begin + s.q_len);
    return n + rows_behind;
  }
  int64_t kv_rows() const {
    int64_t n = 0;
    for (const AttentionSegment& s : segments) n = std::max<int64_t>(n, s.kv_begin + s.kv_len);
    return n + rows_behind;
  }
  int64_t q_stride() const { return int64_t(q_heads) * head_dim; }
  int64_t kv_stride() const { return int64_t(kv_heads) * head_dim; }
  AttentionShape shape(DType dtype = DType::bf16) const {
    AttentionShape s;
    s.q_rows = q_rows(), s.kv_rows = kv_rows();
    s.q_heads = q_heads, s.kv_heads = kv_heads, s.head_dim = head_dim;
    s.segments = segments.data(), s.segment_count = int64_t(segments.size());
    s.causal = causal, s.window = window, s.soft_cap = soft_cap;
    s.scale = 1 / std::sqrt(float(head_dim)), s.dtype = dtype;
    return s;
  }
  std::string name() const {
    std::string lengths;
    for (size_t i = 0; i < std::min<size_t>(segments.size(), 6); ++i)
      lengths += format(" {}:{}", segments[i].q_len, segments[i].kv_len);
    return format("{} segments{}, heads {} over {} of {}, causal {}, window {}, cap {}",
                  segments.size(), lengths, q_heads, kv_heads, head_dim, causal, window, soft_cap);
  }
};

// Documents of many lengths, rows in front of, between and behind them, one without keys, one
// without queries, one with more queries than keys.
inline std::vector<AttentionSegment> uneven_segments() {
  return {{2, 130, 0, 130},   {132, 1, 130, 1},     {140, 64, 131, 200}, {204, 20, 331, 0},
          {224, 0, 340, 150}, {224, 300, 490, 300}, {524, 170, 790, 40}, {694, 5, 840, 257}};
}
// More than one launch takes.
inline std::vector<AttentionSegment> many_segments() {
  std::vector<AttentionSegment> all;
  int32_t row = 0;
  for (int32_t i = 0; i < 150; ++i) {
    const int32_t n = i * 37 % 90;
    all.push_back({row, n, row, n});
    row += n;
  }
  return all;
}

// The modes over odd shapes, of one head size.
inline std::vector<AttentionCase> odd_cases(int head_dim) {
  std::vector<AttentionCase> all;
  for (const bool causal : {false, true}) {
    for (const auto& [count, q, kv] :
         {std::array{2, 1, 1}, {1, 3, 130}, {3, 200, 200}, {2, 257, 400}})
      all.push_back({even_segments(count, q, kv), 4, 2, head_dim, causal});
    all.push_back({even_segments(12, 129, 129), 6, 3, head_dim, causal});
    all.push_back({uneven_segments(), 4, 1, head_dim, causal, 0, 0, 9});
    all.push_back({many_segments(), 2, 2, head_dim, causal});
    for (const int window : {1, 70, 333})
      all.push_back({even_segments(1, 400, 500), 1, 1, head_dim, causal, window});
    all.push_back({even_segments(1, 150, 170), 2, 1, head_dim, causal, 0, 1.5f});
    all.push_back({uneven_segments(), 2, 2, head_dim, causal, 100, 1.5f, 9});
  }
  return all;
}

}  // namespace weft::kernels::cuda
