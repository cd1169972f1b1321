#include "weft/train/run_folder.h"

#include <charconv>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/train/muon.h"

namespace weft::train {
namespace {

constexpr int64_t most = int64_t(1) << 53;

std::string config_path(const std::string& run) {
  return run + "/config.json";
}

Array read_f32(const TensorView& view, const std::string& name, const std::string& file,
               Device& device) {
  if (view.dtype != DType::f32)
    data_error("{}: \"{}\" must be f32, got {}", file, name, dtype_name(view.dtype));
  Array array(device, DType::f32, view.shape);
  device.copy_from_host(array.data(), view.bytes.data(), view.bytes.size());
  return array;
}

std::vector<MixturePart> read_mixture(const JsonReader& reader) {
  std::vector<MixturePart> parts(reader.array("data", 4096).size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const JsonReader part = reader.item("data", i);
    part.allow_only({"path", "weight", "sha256"});
    parts[i] = {part.string("path"), part.number("weight", 1e-9, 1e9), part.string("sha256", 64)};
  }
  if (parts.empty()) reader.refuse("data", "an array of data directories");
  return parts;
}

}  // namespace

bool is_run(const std::string& run) {
  return path_exists(config_path(run));
}
std::string checkpoints_of(const std::string& run) {
  return run + "/checkpoints";
}

std::optional<int64_t> step_in_name(std::string_view name, std::string_view kind) {
  if (!name.starts_with(kind)) return std::nullopt;
  int64_t step = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kind.size(), end, step);
  if (error != std::errc() || stop != end) return std::nullopt;
  return step;
}

void write_run_config(const RunConfig& config, const std::string& run, FileSystem& fs) {
  Json json = {{"format", "weft-run"}, {"version", 2}};
  json["vocab"] = config.train.model.vocab;
  json["data"] = Json::array();
  for (const MixturePart& part : config.data)
    json["data"].push_back({{"path", part.path}, {"weight", part.weight}, {"sha256", part.sha256}});
  if (!config.init.empty()) json["init"] = config.init, json["init_sha256"] = config.init_sha256;
  json["config"] = to_json(config.train);
  write_file_atomic(config_path(run), dump_json(json, 2) + "\n", fs);
}

RunConfig read_run_config(const std::string& run) {
  const std::string path = config_path(run);
  if (!is_directory(run))
    resource_error("there is no directory {}; weft train --out {} makes a run", run, run);
  if (!path_exists(path))
    resource_error("{} is missing; expected the folder of a run of weft train", path);
  const Json json = read_json(path);
  const JsonReader reader(json, path);
  reader.allow_only({"format", "version", "vocab", "data", "init", "init_sha256", "config"});
  if (reader.string("format") != "weft-run") reader.refuse("format", "\"weft-run\"");
  reader.integer("version", 2, 2);
  reader.object("config");
  RunConfig config{config_from_json(json["config"], path), read_mixture(reader),
                   reader.string_or("init", ""), reader.string_or("init_sha256", "", 64)};
  config.train.model.vocab = reader.integer("vocab", 1, int64_t(1) << 24);
  try {
    validate(config.train);
  } catch (const Error& error) {
    data_error("{}: {}", path, error.what());
  }
  return config;
}

Json to_json(const Position& position, const TrainConfig& config) {
  Json json = {{"samples", position.samples}};
  if (position.best_loss)
    json["best_loss"] = *position.best_loss, json["best_step"] = position.best_step;
  json["evaluated_step"] = position.evaluated_step;
  json["train_seconds"] = position.train_seconds;
  json["eval_seconds"] = position.eval_seconds;
  if (config.skip_z > 0)
    json["losses"] = position.losses.values(), json["norms"] = position.norms.values();
  json["config"] = to_json(config);
  return json;
}

namespace {

RecentValues read_recent(const JsonReader& meta, const char* key) {
  std::vector<double> values;
  if (!meta.has(key)) return {};
  for (const Json& value : meta.array(key, RecentValues::most)) {
    if (!value.is_number()) meta.refuse(key, "an array of numbers");
    values.push_back(value.get<double>());
  }
  return RecentValues(std::move(values));
}

}  // namespace

Position read_position(const Checkpoint& checkpoint) {
  const JsonReader meta(checkpoint.manifest.meta, checkpoint.path + "/manifest.json: meta");
  Position position;
  position.step = checkpoint.manifest.step;
  position.samples = meta.integer("samples", 0, most);
  if (meta.has("best_loss")) {
    position.best_loss = meta.number("best_loss", -1e30, 1e30);
    position.best_step = meta.integer("best_step", 0, most);
  }
  position.evaluated_step = meta.integer("evaluated_step", 0, position.step);
  position.train_seconds = meta.number("train_seconds", 0, 1e12);
  position.eval_seconds = meta.number("eval_seconds", 0, 1e12);
  position.losses = read_recent(meta, "losses"), position.norms = read_recent(meta, "norms");
  return position;
}

namespace {

Params read_tensors(const std::string& path, Device& device, const std::string& prefix) {
  const SafetensorsFile file(path);
  Params params;
  for (const auto& [name, view] : file.tensors())
    if (name.starts_with(prefix))
      params[name.substr(prefix.size())] = read_f32(view, name, path, device);
  return params;
}

// Squares are there for what AdamW updates, and for nothing else.
void check_squares(const std::string& path, const TrainConfig& config, const State& state) {
  size_t wanted = 0;
  for (const auto& [name, value] : state.params) {
    if (is_for_muon(config, name, value.dims())) continue;
    ++wanted;
    const auto found = state.v.find(name);
    if (found == state.v.end() || found->second.dims() != value.dims())
      data_error("{} has no \"v.{}\" of {}, which its run needs", path, name, value.dims().str());
  }
  if (wanted != state.v.size())
    data_error("{} has {} tensors of squares, but its run needs {}", path, state.v.size(), wanted);
}

}  // namespace

Params read_params(const std::string& path, const models::ModelConfig& model, Device& device,
                   const std::string& prefix) {
  Params params = read_tensors(path, device, prefix);
  try {
    models::check_params(model, params);
  } catch (const Error& error) {
    data_error("{}: {}", path, error.what());
  }
  return params;
}

State read_state(const Checkpoint& checkpoint, const TrainConfig& config, Device& device) {
  const std::string optimizer = checkpoint.file("optimizer.safetensors");
  State state;
  state.params = read_params(checkpoint.file("model.safetensors"), config.model, device);
  state.m = read_params(optimizer, config.model, device, "m.");
  state.v = read_tensors(optimizer, device, "v.");
  check_squares(optimizer, config, state);
  return state;
}

namespace {

Params newest_params(const std::string& run, const models::ModelConfig& model, Weights which,
                     int64_t& step) {
  const bool best = which == Weights::best;
  if (!is_directory(checkpoints_of(run)) && !best)
    return read_params(run + "/model.safetensors", model, default_device());
  const auto found =
      is_directory(checkpoints_of(run))
          ? latest_whole(checkpoints_of(run), best ? "best" : "step", nullptr, "model.safetensors")
          : std::nullopt;
  if (!found)
    resource_error("{} holds no whole checkpoint{}; train it first", run,
                   best ? " of the best weights" : "");
  step = found->manifest.step;
  return read_params(found->file("model.safetensors"), model, default_device());
}

}  // namespace

LoadedRun load_run(const std::string& run, Weights which) {
  LoadedRun loaded;
  loaded.config = read_run_config(run).train;
  loaded.tokenizer = load_tokenizer(run + "/tokenizer.json");
  if (loaded.tokenizer->vocab_size() > loaded.config.model.vocab)
    data_error("{}/tokenizer.json has {} tokens, but the model only {}; they are not of one run",
               run, loaded.tokenizer->vocab_size(), loaded.config.model.vocab);
  loaded.params = newest_params(run, loaded.config.model, which, loaded.step);
  return loaded;
}

}  // namespace weft::train
