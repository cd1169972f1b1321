// config.json and generation_config.json of a Hugging Face directory, as ModelConfig and back.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "weft/base/json_fwd.h"
#include "weft/models/model.h"

namespace weft::models {

struct HuggingFaceConfig {
  ModelConfig model;
  DType dtype = DType::f32;  // that the weights were trained in: bf16, f16 or f32
};

// Whether the JSON is a config.json of transformers at all.
bool is_hugging_face_config(const Json& json);

// Of model_type gpt2, llama, mistral, qwen2 or qwen3, with transformers' default for what is
// missing; from both spellings of transformers 4 and 5. Keys that change nothing here are not read.
// Error(data) naming `what` and the key for a variant that Weft does not compute.
HuggingFaceConfig hugging_face_config(const Json& json, const std::string& what);

// A config.json for it. Error(user) where no model_type has this mixture of options. config.hidden
// must be set.
Json to_hugging_face(const HuggingFaceConfig& config);

// What generation_config.json asks for, where it does.
struct GenerationConfig {
  std::vector<int32_t> stop;  // any of these tokens ends a text
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k;
};
GenerationConfig generation_config(const Json& json, int64_t vocab, const std::string& what);

}  // namespace weft::models
