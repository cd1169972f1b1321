// A model: a config and the function that builds its graph. One file per architecture; one table of
// them.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "weft/nn/layers.h"

namespace weft::models {

// What config.json holds. Sizes are checked by validate().
struct ModelConfig {
  std::string architecture = "gpt2";
  int64_t vocab = 0;    // token ids are 0 .. vocab - 1
  int64_t context = 0;  // most tokens of one sequence
  int64_t layers = 0, heads = 0;
  int64_t width = 0;   // of the residual stream
  int64_t hidden = 0;  // of the feed-forward layer; 0: the architecture's choice for the width
  double dropout = 0;
  double norm_epsilon = 1e-5;
  bool tied = true;  // the logits' matrix is the embedding

  // Of llama alone.
  int64_t kv_heads = 0;  // 0: as many as heads
  int64_t head_dim = 0;  // 0: width / heads
  bool qkv_bias = false, out_bias = false, mlp_bias = false;
  bool qk_norm = false;     // an RMS norm over each head of queries and keys
  int64_t window = 0;       // keys that a query sees; 0: all
  int64_t window_from = 0;  // the first layer that has the window
  double rope_theta = 10000;
  nn::RopeScaling rope_scaling = {};

  // With the defaults in place of zeros. heads is not 0.
  int64_t key_heads() const { return kv_heads ? kv_heads : heads; }
  int64_t head_size() const { return head_dim ? head_dim : width / heads; }
};

// What one forward pass is given besides the parameters.
struct ForwardInputs {
  Tensor tokens;  // i32[tokens]
  nn::Segments where;
  std::vector<nn::KvLayer>* cache = nullptr;  // one per layer; replaced by the updated ones
  nn::Dropout dropout = {};
  // Of a block only its input is kept for the backward pass; the rest is computed again there, to
  // the same bits.
  bool recompute = false;
};

// A block of a model: params and constants are what else it reads.
using BlockFunction = std::function<Tensor(const Params& params, const ForwardInputs& in,
                                           const Tensor& x, const Tensors& constants)>;
// block(params, in, x, constants), recomputed if `in` says so. Its parameters are those below
// `path`.
Tensor run_block(const std::string& path, const BlockFunction& block, const Params& params,
                 const ForwardInputs& in, const Tensor& x, const Tensors& constants = {});

struct Architecture {
  const char* name;
  // Throws Error(user): a sentence that names the size, what it must be and what it is.
  void (*validate)(const ModelConfig& config);
  // f32 masters, pending until eval().
  Params (*initialize)(const ModelConfig& config, uint64_t seed);
  // The last layer's normalised output [tokens, width]; dtype: the parameters'.
  Tensor (*hidden)(const ModelConfig& config, const Params& params, const ForwardInputs& in);
  // [vocab, width]: logits are hidden times this.
  const Tensor& (*head)(const ModelConfig& config, const Params& params);
};

// Every architecture there is. Throws Error(user) naming them.
const Architecture& find_architecture(const std::string& name);
std::vector<std::string> architecture_names();

// Parameters cast to the compute type; visible nodes of the graph.
Params cast_params(const Params& params, DType dtype);

int64_t parameter_count(const Params& params);

// Names and shapes the config asks for, against what there is. Throws Error(data) naming what is
// missing, unknown or of the wrong shape.
void check_params(const ModelConfig& config, const Params& params);

}  // namespace weft::models
