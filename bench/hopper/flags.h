// What is written behind the flags of the benchmark.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "weft/base/error.h"

namespace weft::bench {

inline std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts{""};
  for (const char c : text)
    if (c == ',')
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

inline std::vector<int> numbers(const std::string& text) {
  std::vector<int> result;
  for (const std::string& part : split(text))
    if (!part.empty()) result.push_back(std::atoi(part.c_str()));
  return result;
}

// "tile_n=128,stages=6": sets fields of a schedule by their names.
using Fields = std::vector<std::pair<std::string, int*>>;
inline void set_fields(const Fields& fields, const std::string& changes) {
  for (const std::string& change : split(changes)) {
    const size_t equals = change.find('=');
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const auto& f) {
      return f.first == change.substr(0, equals);
    });
    if (field == fields.end())
      user_error("--try {}: {} is not a field of the schedule", changes, change);
    *field->second = std::atoi(change.substr(equals + 1).c_str());
  }
}

}  // namespace weft::bench
