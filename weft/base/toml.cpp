#include "weft/base/toml.h"

#include <algorithm>
#include <toml++/toml.h>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

toml::table parse(std::string_view text, const std::string& what) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& e) {
    std::string reason(e.description());  // may quote the text
    std::ranges::replace_if(
        reason, [](char c) { return uint8_t(c) < ' '; }, ' ');
    data_error("{}: line {}: {}", what, e.source().begin.line, replace_invalid_utf8(reason));
  }
}

bool is_flag_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

// "min-lr" for the key min_lr. A file cannot name another one.
std::string flag_name(std::string_view key, const std::string& what) {
  std::string name(key);
  std::ranges::replace(name, '_', '-');
  if (name.empty() || name[0] == '-' || !std::ranges::all_of(name, is_flag_character))
    data_error("{}: a key must be the name of a flag such as lr or min_lr, got {}", what,
               in_quotes(key));
  return name;
}

std::string value_text(const toml::node& value, const std::string& name, const std::string& what) {
  if (const auto text = value.value_exact<std::string>()) return *text;
  if (const auto flag = value.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto integer = value.value_exact<int64_t>()) return std::to_string(*integer);
  if (const auto real = value.value_exact<double>()) return format("{}", *real);
  data_error("{}: {} must be a string, a number or a boolean", what, name);
}

}  // namespace

std::map<std::string, std::string> parse_toml(std::string_view text, const std::string& what,
                                              const TomlLimits& limits) {
  if (text.size() > limits.bytes)
    data_error("{} has {} bytes, more than the {} of a config file", what, text.size(),
               limits.bytes);
  const toml::table table = parse(text, what);
  if (table.size() > limits.keys)
    data_error("{} has {} keys, more than the {} of a config file", what, table.size(),
               limits.keys);
  std::map<std::string, std::string> values;
  for (const auto& [key, value] : table) {
    const std::string name = flag_name(key.str(), what);
    if (!values.emplace(name, value_text(value, name, what)).second)
      data_error("{}: {} is given twice", what, name);
  }
  return values;
}

std::map<std::string, std::string> read_toml(const std::string& path, const TomlLimits& limits) {
  return parse_toml(read_file(path, limits.bytes), path, limits);
}

}  // namespace weft
