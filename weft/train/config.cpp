#include "weft/train/config.h"

#include <algorithm>
#include <set>

#include "weft/base/json.h"

namespace weft::train {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}
bool is_one_of(const std::string& word, const std::vector<std::string>& choices) {
  return std::ranges::find(choices, word) != choices.end();
}

struct CheckRange {
  template <class T>
  void operator()(const char* name, const T& value, T low, T high, const char*) const {
    if (!(value >= low && value <= high))
      user_error("{} must be from {} to {}, got {}", name, low, high, value);
  }
  void operator()(const char*, const bool&, const char*) const {}
  void operator()(const char* name, const std::string& value,
                  const std::vector<std::string>& choices, const char*) const {
    if (!is_one_of(value, choices))
      user_error("{} must be one of {}, got \"{}\"", name, joined(choices), value);
  }
};

struct WriteJson {
  Json& json;
  template <class T>
  void operator()(const char* name, const T& value, T, T, const char*) const {
    json[name] = value;
  }
  void operator()(const char* name, bool value, const char*) const { json[name] = value; }
  void operator()(const char* name, const std::string& value, const std::vector<std::string>&,
                  const char*) const {
    json[name] = value;
  }
};

struct ReadJson {
  const JsonReader& reader;
  void operator()(const char* name, int64_t& value, int64_t low, int64_t high, const char*) const {
    value = reader.integer(name, low, high);
  }
  void operator()(const char* name, double& value, double low, double high, const char*) const {
    value = reader.number(name, low, high);
  }
  void operator()(const char* name, bool& value, const char*) const {
    value = reader.boolean(name);
  }
  void operator()(const char* name, std::string& value, const std::vector<std::string>& choices,
                  const char*) const {
    value = reader.string(name);
    if (!is_one_of(value, choices)) reader.refuse(name, "one of " + joined(choices));
  }
};

bool is_power_of_two(int64_t n) {
  return (n & (n - 1)) == 0;
}

}  // namespace

void validate(const TrainConfig& c) {
  for_each_key(c, CheckRange{});
  models::find_architecture(c.model.architecture).validate(c.model);
  if (c.batch % c.micro_batches != 0)
    user_error("micro_batches must divide batch, got {} of {} sequences", c.micro_batches, c.batch);
  if (c.micro_batches % c.lanes != 0 || !is_power_of_two(c.lanes))
    user_error("lanes must be a power of two that divides micro_batches, got {} for {}", c.lanes,
               c.micro_batches);
  if (c.min_lr > c.lr) user_error("min_lr must be at most lr, got {} above {}", c.min_lr, c.lr);
  constexpr int64_t most_tokens = int64_t(1) << 30;
  if (c.tokens_per_step() / c.micro_batches > most_tokens)
    user_error(
        "batch / micro_batches * context must be at most {} tokens, got {}; raise micro_batches",
        most_tokens, c.tokens_per_step() / c.micro_batches);
}

Json to_json(const TrainConfig& config) {
  Json json = Json::object();
  for_each_key(config, WriteJson{json});
  return json;
}

TrainConfig config_from_json(const Json& json, const std::string& what) {
  const JsonReader reader(json, what);
  TrainConfig config;
  for_each_key(config, ReadJson{reader});
  const size_t keys = to_json(config).size();
  if (json.size() != keys) {
    const Json known = to_json(config);
    for (const auto& item : json.items())
      if (!known.contains(item.key()))
        data_error("{}: \"{}\" is not a key of a run", what, item.key());
  }
  return config;
}

}  // namespace weft::train
