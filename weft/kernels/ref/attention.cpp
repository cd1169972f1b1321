// Attention as it is defined, one row of scores at a time.
#include "weft/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace weft::kernels::ref {
namespace {

double wide(double x) {
  return x;
}
double wide(float x) {
  return double(x);
}
double wide(bf16 x) {
  return double(float(x));
}
double wide(f16 x) {
  return double(float(x));
}
template <class T>
T narrow(double x) {
  if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
    return T(float(x));
  else
    return T(x);
}

template <class T>
const T* row_of(const ConstHeadRows& rows, int64_t row, int64_t head) {
  return static_cast<const T*>(rows.data) + row * rows.row_stride + head * rows.head_stride;
}
template <class T>
T* row_of(const HeadRows& rows, int64_t row, int64_t head) {
  return static_cast<T*>(rows.data) + row * rows.row_stride + head * rows.head_stride;
}

template <class T>
double dot(const T* a, const T* b, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += wide(a[i]) * wide(b[i]);
  return sum;
}

// Keys [begin, end) of its segment that query i sees.
struct Keys {
  int64_t begin, end;
};
Keys visible_keys(const AttentionShape& shape, const AttentionSegment& s, int64_t i) {
  const int64_t position = s.kv_len - s.q_len + i;
  const int64_t end = shape.causal ? std::clamp<int64_t>(position + 1, 0, s.kv_len) : s.kv_len;
  const int64_t begin = shape.window ? std::max<int64_t>(position + 1 - shape.window, 0) : 0;
  return {std::min(begin, end), end};
}

// A score from q k.
double score(const AttentionShape& shape, double product) {
  const double x = double(shape.scale) * product, cap = double(shape.soft_cap);
  return cap == 0 ? x : cap * std::tanh(x / cap);
}
// Its derivative, by what score() gave.
double score_slope(const AttentionShape& shape, double score) {
  const double cap = double(shape.soft_cap);
  return double(shape.scale) * (cap == 0 ? 1 : 1 - score / cap * (score / cap));
}

// Probabilities of the visible keys for query i of head h; returns the log of the sum.
template <class T>
double softmax(const AttentionShape& shape, const ConstHeadRows& q, const ConstHeadRows& k,
               const AttentionSegment& s, int64_t i, int64_t h, std::vector<double>& p) {
  const int64_t kv_head = h / (shape.q_heads / shape.kv_heads);
  const Keys keys = visible_keys(shape, s, i);
  const T* query = row_of<T>(q, s.q_begin + i, h);
  p.clear();
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t j = keys.begin; j < keys.end; ++j) {
    p.push_back(score(shape, dot(query, row_of<T>(k, s.kv_begin + j, kv_head), shape.head_dim)));
    top = std::max(top, p.back());
  }
  for (double& x : p) sum += x = std::exp(x - top);
  for (double& x : p) x /= sum;
  return p.empty() ? top : top + std::log(sum);
}

template <class T>
void clear(const HeadRows& to, int64_t rows, int64_t heads, int dim) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t h = 0; h < heads; ++h) std::fill_n(row_of<T>(to, r, h), dim, T{});
}

// Gradients of one key and value head within one segment, summed over its query heads.
template <class T>
struct KeyGradients {
  std::vector<double> dk, dv;  // [kv_len, head_dim]

  void add(const AttentionBackward& a, const AttentionSegment& s, int64_t i, int64_t h,
           std::vector<double>& p) {
    const int dim = a.shape.head_dim;
    const int64_t kv_head = h / (a.shape.q_heads / a.shape.kv_heads);
    softmax<T>(a.shape, a.q, a.k, s, i, h, p);
    const int64_t first = visible_keys(a.shape, s, i).begin;
    const T *query = row_of<T>(a.q, s.q_begin + i, h), *d_o = row_of<T>(a.d_o, s.q_begin + i, h);
    std::vector<double> dp, dq(static_cast<size_t>(dim));
    double mean = 0;  // sum of p dp
    for (size_t j = 0; j < p.size(); ++j) {
      dp.push_back(dot(d_o, row_of<T>(a.v, s.kv_begin + first + int64_t(j), kv_head), dim));
      mean += p[j] * dp[j];
    }
    for (size_t j = 0; j < p.size(); ++j) {
      const T* key = row_of<T>(a.k, s.kv_begin + first + int64_t(j), kv_head);
      const double slope = score_slope(a.shape, score(a.shape, dot(query, key, dim)));
      const double ds = p[j] * (dp[j] - mean) * slope;
      const size_t at = size_t(first + int64_t(j)) * size_t(dim);
      for (int c = 0; c < dim; ++c) {
        dq[size_t(c)] += ds * wide(key[c]);
        dk[at + size_t(c)] += ds * wide(query[c]);
        dv[at + size_t(c)] += p[j] * wide(d_o[c]);
      }
    }
    T* to = row_of<T>(a.dq, s.q_begin + i, h);
    for (int c = 0; c < dim; ++c) to[c] = narrow<T>(dq[size_t(c)]);
  }
};

}  // namespace

template <class T>
void attention_forward(const AttentionForward& a) {
  const AttentionShape& shape = a.shape;
  clear<T>(a.o, shape.q_rows, shape.q_heads, shape.head_dim);
  if (a.lse)
    std::fill_n(a.lse, shape.q_rows * shape.q_heads, -std::numeric_limits<float>::infinity());
  std::vector<double> p;
  for (int64_t n = 0; n < shape.segment_count; ++n) {
    const AttentionSegment& s = shape.segments[n];
    for (int64_t i = 0; i < s.q_len; ++i)
      for (int64_t h = 0; h < shape.q_heads; ++h) {
        const double lse = softmax<T>(shape, a.q, a.k, s, i, h, p);
        if (a.lse) a.lse[(s.q_begin + i) * shape.q_heads + h] = float(lse);
        const int64_t first = s.kv_begin + visible_keys(shape, s, i).begin;
        T* to = row_of<T>(a.o, s.q_begin + i, h);
        for (int c = 0; c < shape.head_dim; ++c) {
          double sum = 0;
          for (size_t j = 0; j < p.size(); ++j)
            sum += p[j] * wide(row_of<T>(a.v, first + int64_t(j),
                                         h / (shape.q_heads / shape.kv_heads))[c]);
          to[c] = narrow<T>(sum);
        }
      }
  }
}

template <class T>
void attention_backward(const AttentionBackward& a) {
  const AttentionShape& shape = a.shape;
  const int dim = shape.head_dim, group = shape.q_heads / shape.kv_heads;
  clear<T>(a.dq, shape.q_rows, shape.q_heads, dim);
  clear<T>(a.dk, shape.kv_rows, shape.kv_heads, dim);
  clear<T>(a.dv, shape.kv_rows, shape.kv_heads, dim);
  std::vector<double> p;
  for (int64_t n = 0; n < shape.segment_count; ++n) {
    const AttentionSegment& s = shape.segments[n];
    for (int64_t g = 0; g < shape.kv_heads && s.q_len > 0; ++g) {
      const size_t size = size_t(s.kv_len) * size_t(dim);
      KeyGradients<T> sums{std::vector<double>(size), std::vector<double>(size)};
      for (int64_t h = g * group; h < (g + 1) * group; ++h)
        for (int64_t i = 0; i < s.q_len; ++i) sums.add(a, s, i, h, p);
      for (int64_t j = 0; j < s.kv_len; ++j)
        for (int c = 0; c < dim; ++c) {
          const size_t at = size_t(j) * size_t(dim) + size_t(c);
          row_of<T>(a.dk, s.kv_begin + j, g)[c] = narrow<T>(sums.dk[at]);
          row_of<T>(a.dv, s.kv_begin + j, g)[c] = narrow<T>(sums.dv[at]);
        }
    }
  }
}

template void attention_forward<double>(const AttentionForward&);
template void attention_forward<float>(const AttentionForward&);
template void attention_forward<bf16>(const AttentionForward&);
template void attention_forward<f16>(const AttentionForward&);
template void attention_backward<double>(const AttentionBackward&);
template void attention_backward<float>(const AttentionBackward&);
template void attention_backward<bf16>(const AttentionBackward&);
template void attention_backward<f16>(const AttentionBackward&);

}  // namespace weft::kernels::ref
