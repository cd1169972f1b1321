// GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019): learned
// positions, layer norm before each sub-layer, GELU, tied output weights. Initialisation as in the
// paper: normal 0.02, residual projections divided by sqrt(2 layers).
#include <cmath>

#include "weft/models/architectures.h"

namespace weft::models {
namespace {

struct Block {
  nn::LayerNorm norm1, norm2;
  nn::SelfAttention attention;
  nn::GeluMlp mlp;
};

Block block(const ModelConfig& c, int64_t layer) {
  const std::string path = format("blocks.{}", layer);
  const int64_t hidden = c.hidden ? c.hidden : 4 * c.width;
  return {{path + ".norm1", c.width, c.norm_epsilon},
          {path + ".norm2", c.width, c.norm_epsilon},
          {path + ".attention", c.width, c.heads},
          {path + ".mlp", c.width, hidden}};
}
nn::Embedding tokens(const ModelConfig& c) {
  return {"tokens", c.vocab, c.width};
}
nn::Embedding positions(const ModelConfig& c) {
  return {"positions", c.context, c.width};
}
nn::Linear untied_head(const ModelConfig& c) {
  return {"head", c.width, c.vocab, false};
}
nn::LayerNorm last_norm(const ModelConfig& c) {
  return {"norm", c.width, c.norm_epsilon};
}

void validate(const ModelConfig& c) {
  const auto in_range = [](const char* name, int64_t value, int64_t most) {
    if (value < 1 || value > most)
      user_error("gpt2 needs {} from 1 to {}, got {}", name, most, value);
  };
  in_range("vocab", c.vocab, 1 << 24), in_range("context", c.context, 1 << 20),
      in_range("layers", c.layers, 1024);
  in_range("heads", c.heads, 1024), in_range("dim", c.width, 1 << 17);
  if (c.width % c.heads != 0)
    user_error("gpt2 needs heads that divide dim, got {} heads and dim {}", c.heads, c.width);
  if (c.width / c.heads > 256)
    user_error("gpt2 needs heads of at most 256, got {} of {}", c.heads, c.width / c.heads);
  if (c.hidden < 0 || c.hidden > (1 << 20))
    user_error("gpt2 needs a hidden size up to {}, got {}", 1 << 20, c.hidden);
  if (!(c.dropout >= 0 && c.dropout < 1))
    user_error("gpt2 needs dropout in [0, 1), got {}", c.dropout);
  if (c.key_heads() != c.heads || c.head_size() != c.width / c.heads || c.window != 0)
    user_error("kv_heads, head_dim and window are for llama; gpt2 has none of them");
  if (c.qkv_bias || c.out_bias || c.mlp_bias || c.qk_norm)
    user_error("qkv_bias, out_bias, mlp_bias and qk_norm are for llama; gpt2 has its own biases");
}

Params initialize(const ModelConfig& c, uint64_t seed) {
  const double stddev = 0.02, residual = 0.02 / std::sqrt(2.0 * double(c.layers));
  nn::Initializer make(seed);
  tokens(c).init(make, stddev);
  positions(c).init(make, stddev);
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
  Tensor h = tokens(c)(params, inputs.tokens) + positions(c)(params, inputs.where.positions);
  h = inputs.dropout(h, "embedding.dropout");  // [tokens, width]
  for (int64_t i = 0; i < c.layers; ++i) {
    const Block b = block(c, i);
    const auto run = [=](const Params& p, const ForwardInputs& in, Tensor x, const Tensors&) {
      nn::KvLayer* cache = in.cache ? &(*in.cache)[size_t(i)] : nullptr;
      x = x +
          in.dropout(b.attention(p, b.norm1(p, x), in.where, cache), b.attention.path + ".dropout");
      return x + in.dropout(b.mlp(p, b.norm2(p, x)), b.mlp.path + ".dropout");
    };
    h = run_block(format("blocks.{}", i), run, params, inputs, h);
  }
  return last_norm(c)(params, h);
}

const Tensor& head(const ModelConfig& c, const Params& p) {
  return nn::parameter(p, c.tied ? "tokens.weight" : "head.weight");
}

}  // namespace

const Architecture gpt2 = {"gpt2", validate, initialize, hidden, head};

}  // namespace weft::models
