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

// The end of the string, comment or character of `line` that begins at `at`; throws for what the
// parser must not see: toml++ 3.3 runs into undefined behaviour at most letters that are not ASCII
// where a name or a number could stand, and it is there that quotes of several lines would hide
// them.
size_t skip_one(std::string_view line, size_t at, const std::string& where) {
  const char c = line[at];
  if (c == '#') return line.size();
  if (c != '"' && c != '\'') {
    if (uint8_t(c) >= 0x80)
      data_error("{}: outside of quotes and comments only ASCII characters are read", where);
    return at + 1;
  }
  if (line.substr(at, 3) == std::string(3, c))
    data_error("{}: a string must be in one pair of quotes, on one line", where);
  size_t end = at + 1;
  while (end < line.size() && line[end] != c) end += c == '"' && line[end] == '\\' ? 2 : 1;
  return end + 1;
}

void check_characters(std::string_view text, const std::string& what) {
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::string where = format("{}: line {}", what, number);
    for (size_t at = 0; at < line.size();) at = skip_one(line, at, where);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
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
  check_characters(text, what);
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
