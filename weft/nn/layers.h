// The layers that models are made of: each a struct of sizes with the two functions a model needs,
// `init` (adds its parameters by path) and `operator()` (builds its part of the graph). Parameters
// are float tensors by path.
#pragma once
#include <string>

#include "weft/graph/ops.h"
#include "weft/graph/tree.h"

namespace weft::nn {

// Makes parameters: each a function of (seed, path) alone, so that layouts and orders do not
// matter.
class Initializer {
 public:
  explicit Initializer(uint64_t seed);
  void normal(const std::string& path, const Dims& dims, double stddev);
  void constant(const std::string& path, const Dims& dims, double value);
  // f32, pending.
  Params finish() { return std::move(params_); }

 private:
  Tensor rng_;
  Params params_;
};

// The parameter at `path`; throws Error(data) naming it when a checkpoint lacks it.
const Tensor& parameter(const Params& params, const std::string& path);

// Where dropout gets its numbers; p = 0 turns it off. rng is i64[2] {seed, step}.
struct Dropout {
  double p = 0;
  Tensor rng = {};
  Tensor operator()(const Tensor& x, const std::string& path) const;
};

// y = x w^T + b; weight [out, in], bias [out].
struct Linear {
  std::string path;
  int64_t in, out;
  bool bias = true;
  void init(Initializer& make, double stddev) const;
  Tensor operator()(const Params& params, const Tensor& x) const;
};

struct LayerNorm {
  std::string path;
  int64_t width;
  double epsilon = 1e-5;
  void init(Initializer& make) const;
  Tensor operator()(const Params& params, const Tensor& x) const;
};

struct RmsNorm {
  std::string path;
  int64_t width;
  double epsilon = 1e-5;
  void init(Initializer& make) const;
  Tensor operator()(const Params& params, const Tensor& x) const;
};

// Rows of a table by token id or by position.
struct Embedding {
  std::string path;
  int64_t rows, width;
  void init(Initializer& make, double stddev) const;
  Tensor operator()(const Params& params, const Tensor& ids) const;
};

// One layer's keys and values of every sequence: [cache_rows, kv_heads, head_dim] each.
struct KvLayer {
  Tensor k, v;
  template <class F>
  void each(F&& f) {
    f(k), f(v);
  }
};

// Which tokens a forward pass sees and how they belong together. All sequences lie one after
// another in one list.
struct Segments {
  Tensor positions;  // i32[tokens]: place in the document
  Tensor segments;   // i32[n, 4], see attention()
  Tensor
      cache_rows;  // i32[tokens]: where a token's key and value go in the cache; empty without one
  int64_t max_context = 0;  // the longest segment's keys
};

// Multi-head self-attention with one projection for q, k and v; keys and values go through `cache`
// when there is one.
struct SelfAttention {
  std::string path;
  int64_t width, heads;
  void init(Initializer& make, double stddev, double residual_stddev) const;
  // The part before the output projection's residual addition.
  Tensor operator()(const Params& params, const Tensor& x, const Segments& where,
                    KvLayer* cache) const;
};

// Llama 3's stretching of rotary positions ("The Llama 3 Herd of Models", arXiv 2407.21783, and its
// reference code): frequencies with fewer than `low` turns in the original context are divided by
// `factor`, those with more than `high` stay, with a linear passage between. A factor of 1 changes
// nothing.
struct RopeScaling {
  double factor = 1, low = 1, high = 4;
  int64_t original_context = 8192;
};

// What rope() takes: cos and sin f32[positions, head_dim / 2].
struct Rope {
  Tensor cos, sin;
  Rope(int64_t positions, int64_t head_dim, double theta, const RopeScaling& scaling);
  Rope(Tensor cosines, Tensor sines) : cos(std::move(cosines)), sin(std::move(sines)) {}
  Tensor operator()(const Tensor& x, const Segments& where) const;
};

// Attention as in Llama: rotary positions, fewer heads of keys and values than of queries (Ainslie
// et al., arXiv 2305.13245), and by choice an RMS norm over each head of q and k, as in Qwen3.
struct GroupedAttention {
  std::string path;
  int64_t width, heads, kv_heads, head_dim;
  bool qkv_bias = false, out_bias = false, qk_norm = false;
  double epsilon = 1e-5;
  int64_t window = 0;  // keys that a query sees, itself included; 0: all
  void init(Initializer& make, double stddev, double residual_stddev) const;
  Tensor operator()(const Params& params, const Tensor& x, const Segments& where, const Rope& rope,
                    KvLayer* cache) const;

 private:
  Linear q() const { return {path + ".q", width, heads * head_dim, qkv_bias}; }
  Linear k() const { return {path + ".k", width, kv_heads * head_dim, qkv_bias}; }
  Linear v() const { return {path + ".v", width, kv_heads * head_dim, qkv_bias}; }
  Linear out() const { return {path + ".out", heads * head_dim, width, out_bias}; }
  RmsNorm q_norm() const { return {path + ".q_norm", head_dim, epsilon}; }
  RmsNorm k_norm() const { return {path + ".k_norm", head_dim, epsilon}; }
};

// down(gelu(up(x))).
struct GeluMlp {
  std::string path;
  int64_t width, hidden;
  void init(Initializer& make, double stddev, double residual_stddev) const;
  Tensor operator()(const Params& params, const Tensor& x) const;
};

// down(silu(gate(x)) up(x)) (Shazeer, arXiv 2002.05202).
struct SwiGluMlp {
  std::string path;
  int64_t width, hidden;
  bool bias = false;
  void init(Initializer& make, double stddev, double residual_stddev) const;
  Tensor operator()(const Params& params, const Tensor& x) const;

 private:
  Linear gate() const { return {path + ".gate", width, hidden, bias}; }
  Linear up() const { return {path + ".up", width, hidden, bias}; }
  Linear down() const { return {path + ".down", hidden, width, bias}; }
};

}  // namespace weft::nn
