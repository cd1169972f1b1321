#include "weft/nn/layers.h"

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
  make.constant(path + ".bias", {out}, 0);
}
Tensor Linear::operator()(const Params& params, const Tensor& x) const {
  return linear(x, parameter(params, path + ".weight"), parameter(params, path + ".bias"));
}

void LayerNorm::init(Initializer& make) const {
  make.constant(path + ".weight", {width}, 1);
  make.constant(path + ".bias", {width}, 0);
}
Tensor LayerNorm::operator()(const Params& params, const Tensor& x) const {
  return layer_norm(x, parameter(params, path + ".weight"), parameter(params, path + ".bias"),
                    epsilon);
}

void Embedding::init(Initializer& make, double stddev) const {
  make.normal(path + ".weight", {rows, width}, stddev);
}
Tensor Embedding::operator()(const Params& params, const Tensor& ids) const {
  return embedding(parameter(params, path + ".weight"), ids);
}

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
  Tensor k = heads_of(1), v = heads_of(2);
  if (cache) {
    k = cache->k = scatter_rows(cache->k, where.cache_rows, k);
    v = cache->v = scatter_rows(cache->v, where.cache_rows, v);
  }
  const Tensor o = attention(heads_of(0), k, v, where.segments, {.max_context = where.max_context});
  return Linear{path + ".out", width, width}(params, reshape(o, {tokens, width}));
}

void GeluMlp::init(Initializer& make, double stddev, double residual_stddev) const {
  Linear{path + ".up", width, hidden}.init(make, stddev);
  Linear{path + ".down", hidden, width}.init(make, residual_stddev);
}
Tensor GeluMlp::operator()(const Params& params, const Tensor& x) const {
  const Tensor h = gelu(Linear{path + ".up", width, hidden}(params, x));
  return Linear{path + ".down", hidden, width}(params, h);
}

}  // namespace weft::nn
