// A small model and its training forward, for the tests of this folder.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "weft/base/random.h"
#include "weft/graph/jit.h"
#include "weft/models/model.h"

namespace weft::engine {

// Makes this the device of everything that follows. Devices stay until the process ends.
inline CpuDevice& use_device(Isa isa, int threads) {
  static std::map<std::pair<Isa, int>, std::unique_ptr<CpuDevice>> devices;
  std::unique_ptr<CpuDevice>& device = devices[{isa, threads}];
  if (!device) device = std::make_unique<CpuDevice>(threads, isa);
  set_default_device(*device);
  return *device;
}

// A few tokens more than bytes have, and a context that is no multiple of attention's key blocks.
inline models::ModelConfig small_config() {
  models::ModelConfig config;
  config.vocab = 259, config.context = 134, config.layers = 2, config.heads = 2, config.width = 48;
  return config;
}

// With everything that llama has: shared key heads of a size of their own, a window in one layer,
// norms, biases, scaled rotary frequencies and a head that is not tied.
inline models::ModelConfig small_llama() {
  models::ModelConfig config = small_config();
  config.architecture = "llama";
  config.heads = 4, config.kv_heads = 2, config.head_dim = 16, config.tied = false;
  config.qkv_bias = config.qk_norm = true;
  config.window = 70, config.window_from = 1;
  config.rope_scaling = {8, 1, 4, 64};
  return config;
}

// Larger than at the start of training, so that every token depends on those before it.
inline Params small_params(const models::ModelConfig& config) {
  Params params = models::find_architecture(config.architecture).initialize(config, 3);
  for (auto& [path, value] : params)
    if (value.rank() == 2) value = value * (path == "tokens.weight" ? 3.0 : 10.0);
  return params;
}

inline std::vector<int32_t> some_tokens(size_t n, uint64_t seed) {
  std::vector<int32_t> tokens(n);
  for (size_t i = 0; i < n; ++i) tokens[i] = int32_t(Philox{seed}(i)[0] % 259);
  return tokens;
}

// Logits [tokens, vocab] of each sequence, computed as in training: all in one batch, no cache.
inline std::vector<std::vector<float>> training_logits(
    const models::ModelConfig& config, const Params& params, DType dtype,
    const std::vector<std::vector<int32_t>>& sequences) {
  std::vector<int32_t> tokens, positions, segments;
  for (const std::vector<int32_t>& s : sequences) {
    const int32_t begin = int32_t(tokens.size()), n = int32_t(s.size());
    for (const int32_t x : {begin, n, begin, n}) segments.push_back(x);
    for (int32_t i = 0; i < n; ++i) tokens.push_back(s[size_t(i)]), positions.push_back(i);
  }
  const auto tensor = [](const std::vector<int32_t>& values, const Shape& shape) {
    return Tensor(Array::from<int32_t>(default_device(), shape, values));
  };
  const int64_t n = int64_t(tokens.size());
  models::ForwardInputs in;
  in.tokens = tensor(tokens, {n});
  in.where.positions = tensor(positions, {n});
  in.where.segments = tensor(segments, {int64_t(sequences.size()), 4});
  in.where.max_context = config.context;
  const models::Architecture& architecture = models::find_architecture(config.architecture);
  const Params cast = models::cast_params(params, dtype);
  const std::vector<float> all = matmul(architecture.hidden(config, cast, in),
                                        architecture.head(config, cast), "td,vd->tv", DType::f32)
                                     .to_vector<float>();
  std::vector<std::vector<float>> logits;
  auto at = all.begin();
  for (const std::vector<int32_t>& s : sequences) {
    const auto end = at + std::ptrdiff_t(s.size()) * config.vocab;
    logits.emplace_back(at, end);
    at = end;
  }
  return logits;
}

}  // namespace weft::engine
