#include "weft/nn/layers.h"

#include <cmath>
#include <numbers>

#include "weft/kernels/rope.h"

namespace weft::nn {

Initializer::Initializer(uint64_t seed) {
  const int64_t seed_and_step[] = {int64_t(seed), 0};
  rng_ = Tensor(Array::from<int64_t>(default_device(), {2}, seed_and_step));
}

void Initializer::normal(const std::string& path, const Dims& dims, double stddev) {
  params_[path] = random_normal(dims, rng_, path) * stddev;
}

void Initializer::constant(const std::string& path, const Dims& dims, double value) {
  params_[path] = full(dims, DType::f32, value);
}

const Tensor& parameter(const Params& params, const std::string& path) {
  const auto found = params.find(path);
  if (found == params.end())
    data_error("the model has no parameter \"{}\"; its weights do not fit its config", path);
  return found->second;
}

Tensor Dropout::operator()(const Tensor& x, const std::string& path) const {
  return p == 0 ? x : dropout(x, p, rng, path);
}

void Linear::init(Initializer& make, double stddev) const {
  make.normal(path + ".weight", {out, in}, stddev);
  if (bias) make.constant(path + ".bias", {out}, 0);
}
Tensor Linear::operator()(const Params& params, const Tensor& x) const {
  const Tensor& weight = parameter(params, path + ".weight");
  return bias ? linear(x, weight, parameter(params, path + ".bias")) : linear(x, weight);
}

void LayerNorm::init(Initializer& make) const {
  make.constant(path + ".weight", {width}, 1);
  make.constant(path + ".bias", {width}, 0);
}
Tensor LayerNorm::operator()(const Params& params, const Tensor& x) const {
  return layer_norm(x, parameter(params, path + ".weight"), parameter(params, path + ".bias"),
                    epsilon);
}

void RmsNorm::init(Initializer& make) const {
  make.constant(path + ".weight", {width}, 1);
}
Tensor RmsNorm::operator()(const Params& params, const Tensor& x) const {
  return rms_norm(x, parameter(params, path + ".weight"), epsilon);
}

void Embedding::init(Initializer& make, double stddev) const {
  make.normal(path + ".weight", {rows, width}, stddev);
}
Tensor Embedding::operator()(const Params& params, const Tensor& ids) const {
  return embedding(parameter(params, path + ".weight"), ids);
}

namespace {

// q, k, v [tokens, heads or kv_heads, head_dim] -> [tokens, heads * head_dim]; keys and values go
// through the cache when there is one.
Tensor attend(const Tensor& q, Tensor k, Tensor v, const Segments& where, KvLayer* cache,
              int64_t window) {
  if (cache) {
    k = cache->k = scatter_rows(cache->k, where.cache_rows, k);
    v = cache->v = scatter_rows(cache->v, where.cache_rows, v);
  }
  const Tensor o =
      attention(q, k, v, where.segments, {.window = window, .max_context = where.max_context});
  return reshape(o, {q.dim(0), q.dim(1) * q.dim(2)});
}

}  // namespace

void SelfAttention::init(Initializer& make, double stddev, double residual_stddev) const {
  Linear{path + ".qkv", width, 3 * width}.init(make, stddev);
  Linear{path + ".out", width, width}.init(make, residual_stddev);
}

Tensor SelfAttention::operator()(const Params& params, const Tensor& x, const Segments& where,
                                 KvLayer* cache) const {
  const Dim tokens = x.dim(0);
  const Tensor qkv = Linear{path + ".qkv", width, 3 * width}(params, x);  // [tokens, 3 * width]
  const Tensors parts = split(qkv, 1, 3);
  const auto heads_of = [&](size_t part) {
    return reshape(parts[part], {tokens, heads, width / heads});
  };
  const Tensor o = attend(heads_of(0), heads_of(1), heads_of(2), where, cache, 0);
  return Linear{path + ".out", width, width}(params, o);
}

namespace {

double scaled_frequency(double frequency, const RopeScaling& s) {
  const double turns = frequency * double(s.original_context) / (2 * std::numbers::pi);
  if (s.factor == 1 || turns > s.high) return frequency;
  if (turns < s.low) return frequency / s.factor;
  const double keep = (turns - s.low) / (s.high - s.low);
  return (1 - keep) * frequency / s.factor + keep * frequency;
}

}  // namespace

Rope::Rope(int64_t positions, int64_t head_dim, double theta, const RopeScaling& scaling) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < head_dim / 2; ++i)
    frequencies.push_back(
        scaled_frequency(std::pow(theta, -2 * double(i) / double(head_dim)), scaling));
  std::vector<float> cosines(size_t(positions * head_dim / 2)), sines(cosines.size());
  kernels::rope_tables(positions, frequencies, cosines.data(), sines.data());
  const Shape shape{positions, head_dim / 2};
  cos = Array::from<float>(default_device(), shape, cosines);
  sin = Array::from<float>(default_device(), shape, sines);
}

Tensor Rope::operator()(const Tensor& x, const Segments& where) const {
  return weft::rope(x, where.positions, cos, sin);
}

void GroupedAttention::init(Initializer& make, double stddev, double residual_stddev) const {
  for (const Linear& projection : {q(), k(), v()}) projection.init(make, stddev);
  if (qk_norm) q_norm().init(make), k_norm().init(make);
  out().init(make, residual_stddev);
}

Tensor GroupedAttention::operator()(const Params& params, const Tensor& x, const Segments& where,
                                    const Rope& rope, KvLayer* cache) const {
  const auto heads_of = [&](const Linear& projection, int64_t n) {
    return reshape(projection(params, x), {x.dim(0), n, head_dim});
  };
  Tensor queries = heads_of(q(), heads), keys = heads_of(k(), kv_heads);
  if (qk_norm) queries = q_norm()(params, queries), keys = k_norm()(params, keys);
  const Tensor o = attend(rope(queries, where), rope(keys, where), heads_of(v(), kv_heads), where,
                          cache, window);
  return out()(params, o);
}

void GeluMlp::init(Initializer& make, double stddev, double residual_stddev) const {
  Linear{path + ".up", width, hidden}.init(make, stddev);
  Linear{path + ".down", hidden, width}.init(make, residual_stddev);
}
Tensor GeluMlp::operator()(const Params& params, const Tensor& x) const {
  const Tensor h = gelu(Linear{path + ".up", width, hidden}(params, x));
  return Linear{path + ".down", hidden, width}(params, h);
}

void SwiGluMlp::init(Initializer& make, double stddev, double residual_stddev) const {
  gate().init(make, stddev), up().init(make, stddev);
  down().init(make, residual_stddev);
}
Tensor SwiGluMlp::operator()(const Params& params, const Tensor& x) const {
  return down()(params, silu(gate()(params, x)) * up()(params, x));
}

}  // namespace weft::nn
