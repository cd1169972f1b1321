// The metadata of a GGUF file: a table of keys and values before the tensors. Little-endian,
// version 2 or 3. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, read more strictly.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "weft/base/file.h"

namespace weft {

// Integers of every width are int64_t. Arrays of arrays are not read.
using GgufValue = std::variant<int64_t, double, bool, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;

// Every getter throws Error(data) with the file, the key and what it must be.
class GgufMetadata {
 public:
  GgufMetadata(std::map<std::string, GgufValue> values, std::string what)
      : values_(std::move(values)), what_(std::move(what)) {}

  const std::map<std::string, GgufValue>& values() const { return values_; }
  bool has(const std::string& key) const { return values_.contains(key); }
  int64_t integer(const std::string& key, int64_t low, int64_t high) const;
  bool boolean_or(const std::string& key, bool fallback) const;
  const std::string& string(const std::string& key) const;
  const std::vector<std::string>& strings(const std::string& key) const;
  const std::vector<int64_t>& integers(const std::string& key) const;
  const std::vector<double>& reals(const std::string& key) const;

 private:
  template <class T>
  const T& get(const std::string& key, std::string_view expected) const;

  std::map<std::string, GgufValue> values_;
  std::string what_;
};

// Error(data) naming `what` and the byte, unless there are at most 65,536 keys of at most 64 KiB,
// strings of at most 64 MiB and arrays of at most 4 Mi items, keys are unique, and everything lies
// inside the file.
GgufMetadata parse_gguf_metadata(Bytes file, const std::string& what);
GgufMetadata read_gguf_metadata(const std::string& path);

}  // namespace weft
