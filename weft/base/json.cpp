#include "weft/base/json.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

// Builds a value from the parser's events, which come from a loop, not from recursion. Keys are
// appended without the linear search of ordered_json and checked for repetition when their object
// closes.
class Builder {
 public:
  Builder(std::string_view text, const std::string& what, const JsonLimits& limits)
      : text_(text), what_(what), limits_(limits) {}

  Json take() { return std::move(root_); }

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(int64_t value) { return put(value); }
  bool number_unsigned(uint64_t value) { return put(value); }
  bool number_float(double value, const std::string& spelled) {
    if (spelled.find_first_of(".eE") == std::string::npos)
      data_error("{}: the integer {} does not fit 64 bits", what_, in_quotes(spelled));
    return put(value);
  }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // not in JSON text

  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool end_object() {
    const auto& object = open_.back()->get_ref<const Json::object_t&>();
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (const auto& member : object) keys.emplace_back(member.first);
    std::ranges::sort(keys);
    const auto repeated = std::ranges::adjacent_find(keys);
    if (repeated != keys.end())
      data_error("{}: the key {} appears twice in one object", what_, in_quotes(*repeated));
    open_.pop_back();
    return true;
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    const size_t offset = position == 0 ? 0 : position - 1;
    const std::string_view before = text_.substr(0, std::min(offset, text_.size()));
    const auto line = 1 + std::ranges::count(before, '\n');
    // nlohmann's text reads "[id] parse error at ...: <cause>; last read: '<raw bytes>'".
    std::string_view cause = error.what();
    if (const size_t colon = cause.find(": "); colon != cause.npos) cause.remove_prefix(colon + 2);
    cause = cause.substr(0, cause.find("; last read"));
    data_error("{} is not valid JSON at byte {} (line {}): {}", what_, offset, line,
               replace_invalid_utf8(cause.substr(0, 200)));
  }

 private:
  template <class T>
  bool put(T&& value) {
    place(Json(std::forward<T>(value)));
    return true;
  }

  bool open(Json container) {
    if (int(open_.size()) >= limits_.max_depth)
      data_error("{}: JSON is nested deeper than {} levels", what_, limits_.max_depth);
    open_.push_back(&place(std::move(container)));
    return true;
  }

  // Only the innermost open container grows, so the addresses in open_ stay valid.
  Json& place(Json value) {
    if (++values_ > limits_.max_values)
      data_error("{}: JSON of more than {} values", what_, limits_.max_values);
    if (open_.empty()) return root_ = std::move(value);
    Json& parent = *open_.back();
    if (parent.is_array()) {
      auto& items = parent.get_ref<Json::array_t&>();
      items.push_back(std::move(value));
      return items.back();
    }
    // The vector under ordered_map: its own emplace would search all keys first.
    std::vector<std::pair<const std::string, Json>>& members = parent.get_ref<Json::object_t&>();
    members.emplace_back(std::move(key_), std::move(value));
    return members.back().second;
  }

  std::string_view text_;
  const std::string& what_;
  const JsonLimits& limits_;
  Json root_;
  std::vector<Json*> open_;
  std::string key_;
  size_t values_ = 0;
};

// A value as an error sentence shows it: short, printable, on one line.
std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return format("an array of {}", value.size());
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  return dump_json(value);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& what, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    data_error("{} has {} bytes of JSON, more than the {} allowed", what, text.size(),
               limits.max_bytes);
  Builder builder(text, what, limits);
  const bool whole = Json::sax_parse(text.begin(), text.end(), &builder);
  WEFT_CHECK(whole, "{}", what);  // every event either succeeds or throws
  return builder.take();
}

Json read_json(const std::string& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.max_bytes), path, limits);
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

JsonReader::JsonReader(const Json& object, std::string what)
    : JsonReader(object, std::move(what), "") {}

JsonReader::JsonReader(const Json& object, std::string what, std::string path)
    : object_(&object), what_(std::move(what)), path_(std::move(path)) {
  if (object.is_object()) return;
  if (path_.empty()) data_error("{} must be a JSON object, got {}", what_, shown(object));
  data_error("{}: \"{}\" must be an object, got {}", what_, path_.substr(0, path_.size() - 1),
             shown(object));
}

const Json* JsonReader::find(std::string_view key) const {
  for (const auto& member : object_->get_ref<const Json::object_t&>())
    if (member.first == key) return &member.second;
  return nullptr;
}

const Json& JsonReader::at(std::string_view key, std::string_view expected) const {
  if (const Json* value = find(key)) return *value;
  data_error("{}: \"{}{}\" is missing; it must be {}", what_, path_, key, expected);
}

void JsonReader::refuse(std::string_view key, std::string_view expected) const {
  data_error("{}: \"{}{}\" must be {}, got {}", what_, path_, key, expected,
             shown(at(key, expected)));
}

bool JsonReader::has(std::string_view key) const {
  return find(key) != nullptr;
}

void JsonReader::allow_only(std::initializer_list<std::string_view> keys) const {
  for (const auto& member : object_->get_ref<const Json::object_t&>()) {
    if (std::ranges::find(keys, member.first) != keys.end()) continue;
    std::string list;
    for (const std::string_view key : keys) list += format("{}{}", list.empty() ? "" : ", ", key);
    data_error("{}: unknown key {}; there are {}", what_, in_quotes(path_ + member.first), list);
  }
}

int64_t JsonReader::integer(std::string_view key, int64_t low, int64_t high) const {
  const std::string expected = format("an integer from {} to {}", low, high);
  const Json& value = at(key, expected);
  if (!value.is_number_integer()) refuse(key, expected);
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(INT64_MAX))
    refuse(key, expected);
  const int64_t integer = value.get<int64_t>();
  if (integer < low || integer > high) refuse(key, expected);
  return integer;
}

int64_t JsonReader::integer_or(std::string_view key, int64_t fallback, int64_t low,
                               int64_t high) const {
  return has(key) ? integer(key, low, high) : fallback;
}

double JsonReader::number(std::string_view key, double low, double high) const {
  const std::string expected = format("a number from {} to {}", low, high);
  const Json& value = at(key, expected);
  if (!value.is_number()) refuse(key, expected);
  const double number = value.get<double>();
  if (!(number >= low && number <= high)) refuse(key, expected);
  return number;
}

double JsonReader::number_or(std::string_view key, double fallback, double low, double high) const {
  return has(key) ? number(key, low, high) : fallback;
}

bool JsonReader::boolean(std::string_view key) const {
  const Json& value = at(key, "true or false");
  if (!value.is_boolean()) refuse(key, "true or false");
  return value.get<bool>();
}

bool JsonReader::boolean_or(std::string_view key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}

const std::string& JsonReader::string(std::string_view key, size_t max_bytes) const {
  const std::string expected = format("a string of at most {} bytes", max_bytes);
  const Json& value = at(key, expected);
  if (!value.is_string()) refuse(key, expected);
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > max_bytes) refuse(key, expected);
  return text;
}

std::string JsonReader::string_or(std::string_view key, const std::string& fallback,
                                  size_t max_bytes) const {
  return has(key) ? string(key, max_bytes) : fallback;
}

JsonReader JsonReader::object(std::string_view key) const {
  return JsonReader(at(key, "an object"), what_, format("{}{}.", path_, key));
}

const Json& JsonReader::array(std::string_view key, size_t max_items) const {
  const std::string expected = format("an array of at most {} items", max_items);
  const Json& value = at(key, expected);
  if (!value.is_array() || value.size() > max_items) refuse(key, expected);
  return value;
}

JsonReader JsonReader::item(std::string_view key, size_t index) const {
  const Json& list = array(key, SIZE_MAX);
  WEFT_CHECK(index < list.size(), "index {} of {}", index, list.size());
  return JsonReader(list[index], what_, format("{}{}[{}].", path_, key, index));
}

}  // namespace weft
