#include "weft/train/loaded_model.h"

#include <algorithm>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/train/folders.h"

namespace weft::train {
namespace {

constexpr const char* tokenizer_files[] = {
    "tokenizer.json",    "tokenizer_config.json",   "vocab.json",         "merges.txt",
    "added_tokens.json", "special_tokens_map.json", "chat_template.jinja"};
constexpr uint64_t most_tokenizer_bytes = uint64_t(256) << 20;

LoadedModel from_run(const std::string& path, Weights which) {
  LoadedRun run = load_run(path, which);
  models::GenerationConfig generation;
  generation.stop = document_end(*run.tokenizer);
  return {run.config.model,
          run.config.dtype,
          std::move(run.params),
          std::move(run.tokenizer),
          std::move(generation),
          run.config,
          run.step};
}

LoadedModel from_hugging_face(const std::string& path) {
  const std::string tokenizer = path + "/tokenizer.json";
  if (!path_exists(tokenizer))
    resource_error("{} is missing; Weft reads no other form of a tokenizer", tokenizer);
  models::HuggingFaceModel model = models::read_hugging_face(path);
  LoadedModel loaded;
  loaded.config = model.config.model;
  loaded.dtype = model.config.dtype == DType::bf16 ? "bf16" : "f32";  // f16 fits into f32 alone
  loaded.params = std::move(model.params);
  loaded.tokenizer = load_tokenizer(tokenizer);
  loaded.generation = std::move(model.generation);
  if (loaded.tokenizer->vocab_size() > loaded.config.vocab)
    data_error("{} has {} tokens, but the model only {}; they do not belong together", tokenizer,
               loaded.tokenizer->vocab_size(), loaded.config.vocab);
  return loaded;
}

// So that AutoTokenizer reads a tokenizer.json that Weft has made.
std::string tokenizer_config(const LoadedModel& model) {
  const Json json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                     {"model_max_length", model.config.context},
                     {"clean_up_tokenization_spaces", false}};
  return dump_json(json, 2) + "\n";
}

void copy_tokenizer(const std::string& from, const LoadedModel& model, const std::string& to) {
  for (const char* name : tokenizer_files)
    if (path_exists(from + "/" + name))
      write_file_atomic(to + "/" + name, read_file(from + "/" + name, most_tokenizer_bytes));
  const std::string config = to + "/tokenizer_config.json";
  if (!path_exists(config)) write_file_atomic(config, tokenizer_config(model));
}

}  // namespace

LoadedModel load_model(const std::string& path, Weights which) {
  if (!models::is_hugging_face_directory(path)) return from_run(path, which);
  if (which == Weights::best)
    user_error("{} is no run of weft train; it has no best weights beside the newest", path);
  return from_hugging_face(path);
}

void check_same_tokenizer(const Tokenizer& tokenizer, const std::string& of, const Tokenizer& other,
                          const std::string& of_other) {
  if (dump_json(tokenizer.to_json()) != dump_json(other.to_json()))
    data_error("{} has the tokens of another tokenizer than {}; prepare the text with {}", of_other,
               of, of);
}

models::ModelConfig config_from(const LoadedModel& model, const models::ModelConfig& config) {
  models::ModelConfig out = model.config;
  out.dropout = config.dropout;
  out.context = config.context ? config.context : std::min<int64_t>(model.config.context, 1024);
  if (out.context > model.config.context)
    user_error("context must be at most the {} of the model to start from, got {}",
               model.config.context, out.context);
  return out;
}

void export_model(const std::string& path, const LoadedModel& model, const std::string& out,
                  const ExportOptions& options) {
  if (path_exists(out)) user_error("{} exists already; choose another name to export to", out);
  make_directories(parent_directory(out));
  AtomicDirectory directory(out);
  models::write_hugging_face(model.config, model.params, directory.staging(),
                             {parse_dtype(options.dtype), options.most_bytes});
  copy_tokenizer(path, model, directory.staging());
  directory.commit();
}

}  // namespace weft::train
