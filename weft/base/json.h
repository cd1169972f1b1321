// JSON from untrusted bytes: parsing with limits, and reading typed fields with errors that say
// what was expected. Heavy to include (nlohmann): headers take json_fwd.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "weft/base/json_fwd.h"

namespace weft {

struct JsonLimits {
  size_t max_bytes = size_t(64) << 20;
  int max_depth = 64;
  size_t max_values = size_t(1) << 24;  // about 64 bytes of memory each
};

// Error(data), naming `what` and the place, when the text is not one JSON value, exceeds a limit,
// repeats a key or holds an integer outside 64 bits or a number outside double. NaN and Infinity
// are not JSON.
Json parse_json(std::string_view text, const std::string& what, const JsonLimits& limits = {});

// Reads the file `path` and parses it.
Json read_json(const std::string& path, const JsonLimits& limits = {});

// Never throws: bytes that are not UTF-8 become U+FFFD, NaN and infinity become null. indent < 0:
// one line.
std::string dump_json(const Json& value, int indent = -1);

// One JSON object and where it was found. Every getter throws Error(data) with one sentence:
// config.json: "model.layers" must be an integer from 1 to 1024, got "x"
// Points into the value it was made from.
class JsonReader {
 public:
  JsonReader(const Json& object, std::string what);

  bool has(std::string_view key) const;
  // Refuses every key but these.
  void allow_only(std::initializer_list<std::string_view> keys) const;

  int64_t integer(std::string_view key, int64_t low, int64_t high) const;
  int64_t integer_or(std::string_view key, int64_t fallback, int64_t low, int64_t high) const;
  double number(std::string_view key, double low, double high) const;
  double number_or(std::string_view key, double fallback, double low, double high) const;
  bool boolean(std::string_view key) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  const std::string& string(std::string_view key, size_t max_bytes = 4096) const;
  std::string string_or(std::string_view key, const std::string& fallback,
                        size_t max_bytes = 4096) const;
  JsonReader object(std::string_view key) const;
  const Json& array(std::string_view key, size_t max_items) const;
  // The object at `index` of the array `key`.
  JsonReader item(std::string_view key, size_t index) const;

  // Throws: <what>: "<path of key>" must be <expected>, got <the value>.
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const;

 private:
  JsonReader(const Json& object, std::string what, std::string path);
  const Json* find(std::string_view key) const;
  const Json& at(std::string_view key, std::string_view expected) const;

  const Json* object_;
  std::string what_;
  std::string path_;  // of this object in the file, with a final dot: "model." or ""
};

}  // namespace weft
