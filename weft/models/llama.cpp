// Llama (Touvron et al., arXiv 2307.09288; "The Llama 3 Herd of Models", arXiv 2407.21783) and what
// differs from it by config: Mistral (window), Qwen2 (biases of q, k and v), Qwen3 (norms of q and
// k). Rotary positions, RMS norm before each sub-layer, SwiGLU. Initialised as GPT-2: normal 0.02,
// residual projections divided by sqrt(2 layers).
#include <cmath>

#include "weft/models/architectures.h"

namespace weft::models {
namespace {

// 8/3 of the width, so that three matrices have as many elements as GPT-2's two; up to a multiple
// of 64.
int64_t hidden_width(const ModelConfig& c) {
  return c.hidden ? c.hidden : (8 * c.width / 3 + 63) / 64 * 64;
}

struct Block {
  nn::RmsNorm norm1, norm2;
  nn::GroupedAttention attention;
  nn::SwiGluMlp mlp;
};

Block block(const ModelConfig& c, int64_t layer) {
  const std::string path = format("blocks.{}", layer);
  const int64_t window = layer >= c.window_from ? c.window : 0;
  return {{path + ".norm1", c.width, c.norm_epsilon},
          {path + ".norm2", c.width, c.norm_epsilon},
          {path + ".attention", c.width, c.heads, c.key_heads(), c.head_size(), c.qkv_bias,
           c.out_bias, c.qk_norm, c.norm_epsilon, window},
          {path + ".mlp", c.width, hidden_width(c), c.mlp_bias}};
}
nn::Embedding tokens(const ModelConfig& c) {
  return {"tokens", c.vocab, c.width};
}
nn::RmsNorm last_norm(const ModelConfig& c) {
  return {"norm", c.width, c.norm_epsilon};
}
nn::Linear untied_head(const ModelConfig& c) {
  return {"head", c.width, c.vocab, false};
}

void expect_range(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most)
    user_error("llama needs {} from {} to {}, got {}", name, least, most, value);
}

void validate_heads(const ModelConfig& c) {
  expect_range("heads", c.heads, 1, 1024), expect_range("kv_heads", c.key_heads(), 1, c.heads);
  if (c.heads % c.key_heads() != 0)
    user_error("llama needs kv_heads that divide heads, got {} and {}", c.key_heads(), c.heads);
  if (c.head_dim == 0 && c.width % c.heads != 0)
    user_error("llama needs heads that divide dim, or a head_dim, got {} heads and dim {}", c.heads,
               c.width);
  expect_range("heads of a size", c.head_size(), 2, 256);
  if (c.head_size() % 2 != 0)
    user_error("llama needs heads of an even size, got {} of {}", c.heads, c.head_size());
}

void validate_rope(const ModelConfig& c) {
  const nn::RopeScaling& s = c.rope_scaling;
  if (!(c.rope_theta > 0 && c.rope_theta <= 1e12))
    user_error("llama needs rope_theta above 0 and at most 1e12, got {}", c.rope_theta);
  if (!(s.factor >= 1 && s.factor <= 1e6))
    user_error("llama needs rope_factor from 1 to 1e6, got {}", s.factor);
  if (!(s.low > 0 && s.low < s.high && s.high <= 1e6))
    user_error("llama needs rope_low above 0 and below rope_high, got {} and {}", s.low, s.high);
  expect_range("rope_context", s.original_context, 1, 1 << 24);
}

void validate(const ModelConfig& c) {
  expect_range("vocab", c.vocab, 1, 1 << 24), expect_range("context", c.context, 1, 1 << 20);
  expect_range("layers", c.layers, 1, 1024), expect_range("dim", c.width, 1, 1 << 17);
  expect_range("hidden", c.hidden, 0, 1 << 20);
  expect_range("window", c.window, 0, 1 << 20);
  expect_range("window_from", c.window_from, 0, 1024);
  validate_heads(c);
  validate_rope(c);
  if (!(c.dropout >= 0 && c.dropout < 1))
    user_error("llama needs dropout in [0, 1), got {}", c.dropout);
  if (!(c.norm_epsilon > 0 && c.norm_epsilon <= 0.1))
    user_error("llama needs norm_epsilon above 0 and at most 0.1, got {}", c.norm_epsilon);
}

Params initialize(const ModelConfig& c, uint64_t seed) {
  const double stddev = 0.02, residual = 0.02 / std::sqrt(2.0 * double(c.layers));
  nn::Initializer make(seed);
  tokens(c).init(make, stddev);
  for (int64_t i = 0; i < c.layers; ++i) {
    const Block b = block(c, i);
    b.norm1.init(make);
    b.attention.init(make, stddev, residual);
    b.norm2.init(make);
    b.mlp.init(make, stddev, residual);
  }
  last_norm(c).init(make);
  if (!c.tied) untied_head(c).init(make, stddev);
  return make.finish();
}

Tensor hidden(const ModelConfig& c, const Params& params, const ForwardInputs& inputs) {
  const int64_t positions = inputs.where.max_context ? inputs.where.max_context : c.context;
  const nn::Rope rope(positions, c.head_size(), c.rope_theta, c.rope_scaling);
  Tensor h = inputs.dropout(tokens(c)(params, inputs.tokens), "embedding.dropout");
  for (int64_t i = 0; i < c.layers; ++i) {
    const Block b = block(c, i);
    const auto run = [=](const Params& p, const ForwardInputs& in, Tensor x,
                         const Tensors& tables) {
      nn::KvLayer* cache = in.cache ? &(*in.cache)[size_t(i)] : nullptr;
      const nn::Rope own_rope(tables[0], tables[1]);
      x = x + in.dropout(b.attention(p, b.norm1(p, x), in.where, own_rope, cache),
                         b.attention.path + ".dropout");
      return x + in.dropout(b.mlp(p, b.norm2(p, x)), b.mlp.path + ".dropout");
    };
    h = run_block(format("blocks.{}", i), run, params, inputs, h, {rope.cos, rope.sin});
  }
  return last_norm(c)(params, h);  // [tokens, width]
}

const Tensor& head(const ModelConfig& c, const Params& p) {
  return nn::parameter(p, c.tied ? "tokens.weight" : "head.weight");
}

}  // namespace

const Architecture llama = {"llama", validate, initialize, hidden, head};

}  // namespace weft::models
