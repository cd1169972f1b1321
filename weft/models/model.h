// A model: a config and the function that builds its graph. One file per architecture; one table of
// them.
#pragma once
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
  int64_t hidden = 0;  // of the feed-forward layer; 0: 4 * width
  double dropout = 0;
};

// What one forward pass is given besides the parameters.
struct ForwardInputs {
  Tensor tokens;  // i32[tokens]
  nn::Segments where;
  std::vector<nn::KvLayer>* cache = nullptr;  // one per layer; replaced by the updated ones
  nn::Dropout dropout = {};
};

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
