#include "weft/io/sharded_safetensors.h"

#include <set>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

constexpr size_t most_files = 1024;
constexpr const char* single_name = "model.safetensors";
constexpr const char* index_name = "model.safetensors.index.json";
// What every file of transformers says about itself, and its reader asks for.
const std::map<std::string, std::string> metadata = {{"format", "pt"}};

bool is_plain_name(const std::string& file) {
  return file.size() <= 255 && file.ends_with(".safetensors") && !file.starts_with('.') &&
         file.find_first_of(std::string_view("/\\\0", 3)) == file.npos;
}

uint64_t bytes_of(const TensorSpec& t) {
  return uint64_t(t.shape.elements()) * dtype_size(t.dtype);
}

}  // namespace

std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& what) {
  const Json json = parse_json(text, what, {.max_depth = 4});
  const JsonReader reader(json, what);
  reader.object("weight_map");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    if (!file.is_string() || !is_plain_name(file.get_ref<const std::string&>()))
      data_error(
          "{}: the file of tensor {} must be a name in this directory that ends with .safetensors, "
          "got {}",
          what, in_quotes(tensor), in_quotes(dump_json(file)));
    files.emplace(tensor, file.get<std::string>());
  }
  if (files.empty()) data_error("{}: weight_map names no tensor", what);
  return files;
}

bool has_safetensors(const std::string& directory) {
  return path_exists(directory + "/" + single_name) || path_exists(directory + "/" + index_name);
}

ShardedSafetensors::ShardedSafetensors(const std::string& directory) : directory_(directory) {
  const std::string single = directory + "/" + single_name, index = directory + "/" + index_name;
  if (path_exists(single)) {
    files_.emplace_back(single);
    tensors_ = files_.back().tensors();
    return;
  }
  if (!path_exists(index))
    resource_error("{} has neither {} nor {}; expected a model's directory", directory, single_name,
                   index_name);
  const auto places = parse_safetensors_index(read_file(index, uint64_t(64) << 20), index);
  std::set<std::string> names;
  for (const auto& [tensor, file] : places) names.insert(file);
  if (names.size() > most_files)
    data_error("{} names {} files, at most {} are read", index, names.size(), most_files);
  for (const std::string& file : names) add(file, places);
  for (const auto& [tensor, file] : places)
    if (!tensors_.contains(tensor))
      data_error("{} says that tensor {} lies in {}, but it does not", index, in_quotes(tensor),
                 file);
}

void ShardedSafetensors::add(const std::string& file,
                             const std::map<std::string, std::string>& index) {
  files_.emplace_back(directory_ + "/" + file);
  for (const auto& [tensor, view] : files_.back().tensors()) {
    const auto place = index.find(tensor);
    if (place == index.end())
      data_error("{}/{} has a tensor {} that {} does not name", directory_, file, in_quotes(tensor),
                 index_name);
    if (place->second != file)
      data_error("{}/{} has a tensor {} that lies in {} by {}", directory_, file, in_quotes(tensor),
                 place->second, index_name);
    tensors_.emplace(tensor, view);
  }
}

const TensorView* ShardedSafetensors::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void write_sharded_safetensors(const std::string& directory, const std::vector<TensorSpec>& tensors,
                               const TensorSource& source, uint64_t most_bytes, FileSystem& fs) {
  std::vector<std::vector<TensorSpec>> shards(1);
  uint64_t total = 0, here = 0;
  for (const TensorSpec& t : tensors) {
    if (!shards.back().empty() && here + bytes_of(t) > most_bytes) shards.emplace_back(), here = 0;
    shards.back().push_back(t);
    here += bytes_of(t), total += bytes_of(t);
  }
  Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", Json::object()}};
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shards.size() == 1
                                 ? single_name
                                 : format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    SafetensorsWriter writer(directory + "/" + name, shards[i], metadata, fs);
    for (const TensorSpec& t : writer.order()) {
      writer.write(source(t));
      index["weight_map"][t.name] = name;
    }
    writer.commit();
  }
  if (shards.size() > 1)
    write_file_atomic(directory + "/" + index_name, dump_json(index, 2) + "\n", fs);
}

}  // namespace weft
