// The peer of attention: cuDNN's, one kernel for the whole graph. Which operations in which order
// it knows as attention is what NVIDIA's cudnn-frontend writes (its
// scaled_dot_product_flash_attention.h); scores, softmax and masks are in f32, probabilities in
// bf16. Rows are tokens, with the heads of a token side by side, as Weft has them.
#pragma once
#include <limits>

#include "bench/hopper/cudnn.h"
#include "weft/kernels/attention.h"

namespace weft::bench {

// Sequences of equal length, as many key heads as query heads.
struct CudnnShape {
  int64_t batch, heads, length, head_dim;
  bool causal;
  float scale;
};

class CudnnAttention {
 protected:
  using Tensor = cudnn::Tensor;
  using Sizes = cudnn::Sizes;

  CudnnAttention(const Cudnn& lib, const CudnnShape& shape) : s_(shape), graph_(lib) {}
  void build(CudaDevice& gpu) {
    const int64_t bytes = graph_.build();
    workspace_ = gpu.allocate(size_t(std::max<int64_t>(bytes, 16)));
  }
  std::byte* workspace() const { return workspace_->data(); }

  Sizes scores() const { return {s_.batch, s_.heads, s_.length, s_.length}; }
  Sizes row() const { return {s_.batch, s_.heads, s_.length, 1}; }
  Sizes rows() const { return {s_.batch, s_.heads, s_.length, s_.head_dim}; }
  Tensor between(Sizes size) { return graph_.between(cudnn::f32, size); }

  // [batch, head, token, element], or with the last two turned.
  Tensor given_rows() { return graph_.memory(cudnn::bf16, rows(), row_strides()); }
  Tensor given_turned() {
    return graph_.memory(cudnn::bf16, turned(rows()), turned(row_strides()));
  }
  Tensor given_row() {
    return graph_.memory(cudnn::f32, row(), {s_.heads * s_.length, s_.length, 1, 1});
  }
  Tensor turned(const Tensor& x, Sizes stride) {
    const Tensor y = graph_.between(cudnn::bf16, turned(x.size), stride);
    return graph_.reshape(y, x);
  }
  static Sizes turned(Sizes s) { return {s[0], s[1], s[3], s[2]}; }
  Sizes row_strides() const {
    const int64_t width = s_.heads * s_.head_dim;
    return {s_.length * width, s_.head_dim, width, 1};
  }

  // Minus infinity where the key is behind the query.
  Tensor masked(const Tensor& x) {
    if (!s_.causal) return x;
    const auto indices = [&](int64_t axis) {
      return graph_.index_of(graph_.between(cudnn::i32, scores()), x, axis);
    };
    const Tensor query = indices(2), key = indices(3);
    const Tensor seen = graph_.compare(graph_.between(cudnn::boolean, scores()), query, key);
    const Tensor out = graph_.value(-std::numeric_limits<float>::infinity());
    return graph_.pointwise(cudnn::select, between(scores()), x, out, seen);
  }

  CudnnShape s_;
  cudnn::Graph graph_;

 private:
  BufferPtr workspace_;
};

class CudnnForward : CudnnAttention {
 public:
  CudnnForward(CudaDevice& gpu, const Cudnn& lib, const CudnnShape& shape)
      : CudnnAttention(lib, shape) {
    const Tensor q = given_rows(), k = given_turned(), v = given_rows(), o = given_rows(),
                 lse = given_row();
    Tensor x = between(scores());
    graph_.matmul(q, k, x);
    x = masked(graph_.pointwise(cudnn::mul, between(scores()), x, graph_.value(s_.scale)));
    const Tensor top = graph_.reduce(cudnn::largest, between(row()), x);
    x = graph_.pointwise(cudnn::sub, between(scores()), x, top);
    x = graph_.pointwise(cudnn::exp, between(scores()), x);
    const Tensor sum = graph_.reduce(cudnn::of_all, between(row()), x);
    const Tensor logarithm = graph_.pointwise(cudnn::log, between(row()), sum);
    graph_.pointwise(cudnn::add, lse, top, logarithm);
    const Tensor p = graph_.pointwise(cudnn::div, graph_.between(cudnn::bf16, scores()), x, sum);
    graph_.matmul(p, v, o);
    build(gpu);
  }
  // lse [batch, head, token], another order than Weft's.
  void run(std::byte* q, std::byte* k, std::byte* v, std::byte* o, std::byte* lse) {
    graph_.launch({q, k, v, o, lse}, workspace());
  }
};

class CudnnBackward : CudnnAttention {
 public:
  // deterministic: the gradient of the scores is written to memory, 2 bytes each, rather than
  // that of the queries added up in any order.
  CudnnBackward(CudaDevice& gpu, const Cudnn& lib, const CudnnShape& shape, bool deterministic)
      : CudnnAttention(lib, shape) {
    using namespace cudnn;
    const Tensor q = given_rows(), k = given_turned(), v = given_turned(), o = given_rows(),
                 lse = given_row(), d_o = given_rows(), dq = given_rows(), dk = given_rows(),
                 dv = given_rows(), term = given_row();
    const Sizes turned_scores = {s_.heads * s_.length * s_.length, s_.length * s_.length, 1,
                                 s_.length};
    const Tensor products = graph_.pointwise(mul, between(rows()), d_o, o);
    const Tensor sums = graph_.reduce(of_all, between(row()), products);
    graph_.pointwise(mul, term, sums, graph_.value(1));

    const Tensor scale = graph_.value(s_.scale);
    Tensor x = between(scores());
    graph_.matmul(q, k, x);
    x = graph_.pointwise(mul, between(scores()), x, scale);
    x = masked(graph_.pointwise(sub, between(scores()), x, lse));
    const Tensor p = graph_.pointwise(exp, between(scores()), x);
    graph_.matmul(turned(p, turned_scores), d_o, dv);

    x = between(scores());
    graph_.matmul(d_o, v, x);
    x = graph_.pointwise(sub, between(scores()), x, term);
    x = graph_.pointwise(mul, between(scores()), x, p);
    const Tensor ds = graph_.pointwise(mul, between(scores()), x, scale);
    graph_.matmul(turned(ds, turned_scores), q, dk);
    const Tensor keys = turned(k, row_strides());
    if (deterministic) {
      graph_.matmul(ds, keys, dq);
    } else {
      const Tensor sum = graph_.memory(
          f32, rows(),
          {s_.heads * s_.length * s_.head_dim, s_.length * s_.head_dim, s_.head_dim, 1});
      graph_.matmul(ds, keys, sum);
      graph_.pointwise(identity, dq, sum);
    }
    build(gpu);
    const int64_t all_rows = s_.batch * s_.heads * s_.length;
    term_ = gpu.allocate(size_t(all_rows) * 4);
    if (!deterministic) sum_ = gpu.allocate(size_t(all_rows * s_.head_dim) * 4);
  }
  // q, k, v, o, lse, d_o, dq, dk, dv; lse as CudnnForward wrote it.
  void run(std::vector<std::byte*> at) {
    at.push_back(term_->data());
    if (sum_) at.push_back(sum_->data());
    graph_.launch(at, workspace());
  }

 private:
  BufferPtr term_, sum_;
};

}  // namespace weft::bench
