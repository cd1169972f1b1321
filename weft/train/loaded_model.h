// A trained model, from a run folder or from a Hugging Face directory: to evaluate, to generate
// with, to export, or to train further.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "weft/models/hugging_face.h"
#include "weft/text/tokenizer.h"
#include "weft/train/run_folder.h"

namespace weft::train {

struct LoadedModel {
  models::ModelConfig config;
  std::string dtype;  // "bf16" or "f32": what it computes in unless told otherwise
  Params params;      // a run's are f32, others' as their files hold them
  std::unique_ptr<Tokenizer> tokenizer;
  models::GenerationConfig generation = {};
  // Of a run folder alone.
  std::optional<TrainConfig> run = {};
  int64_t step = 0;
};

// `which` is for run folders; a Hugging Face directory has one set of weights.
LoadedModel load_model(const std::string& path, Weights which = Weights::newest);

// Error(data) naming both unless they have the same tokenizer: other token ids mean other words.
void check_same_tokenizer(const Tokenizer& tokenizer, const std::string& of, const Tokenizer& other,
                          const std::string& of_other);

// What training goes on from: the sizes of `model` with the context and dropout of `config`. A
// context of 0 is the model's, but at most 1024.
models::ModelConfig config_from(const LoadedModel& model, const models::ModelConfig& config);

struct ExportOptions {
  std::string dtype = "f32";                // of the weights: f32, bf16 or f16
  uint64_t most_bytes = uint64_t(5) << 30;  // of one file
};
// Makes the directory `out` as transformers reads it: model, config and the tokenizer's files,
// which are those of `path`. Error(user) if `out` exists.
void export_model(const std::string& path, const LoadedModel& model, const std::string& out,
                  const ExportOptions& options = {});

}  // namespace weft::train
