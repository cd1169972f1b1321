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

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return uint8_t(c) < 0x80; });
}

// Where the string that begins at `at` has ended; npos if it does not end on this line.
size_t string_end(std::string_view line, size_t at) {
  const char quote = line[at];
  for (++at; at < line.size() && line[at] != quote; ++at) at += quote == '"' && line[at] == '\\';
  return at < line.size() ? at + 1 : line.npos;
}

// Whether the letters of `line` that are not ASCII are in a comment or in the string of `name =
// "x"`.
bool letters_in_place(std::string_view line) {
  const size_t mark = line.find_first_of("\"'#");
  if (!is_ascii(line.substr(0, mark))) return false;
  if (mark == line.npos || line[mark] == '#') return true;
  const size_t before = line.substr(0, mark).find_last_not_of(" \t");
  const size_t end = string_end(line, mark);
  if (before == line.npos || line[before] != '=' || end == line.npos) return false;
  const size_t next = line.find_first_not_of(" \t\r", end);
  return next == line.npos || line[next] == '#';
}

// Throws for what the parser must not see: toml++ 3.3 runs into undefined behaviour at most letters
// that are not ASCII where a name or a number could stand, and quotes of several lines could hide
// them. So such letters are read only where nothing else than a text can be.
void check_characters(std::string_view text, const std::string& what) {
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.find("\"\"\"") != line.npos || line.find("'''") != line.npos)
      data_error("{}: line {}: a string must be in one pair of quotes, on one line", what, number);
    if (!is_ascii(line) && !letters_in_place(line))
      data_error(
          "{}: line {}: letters that are not ASCII are read only in comments and in the text of "
          "name = \"text\"",
          what, number);
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
