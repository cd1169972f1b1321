// Damaged copies of a small valid file: cut after every byte, every bit of the beginning flipped.
#pragma once
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "weft/base/file.h"

namespace weft::testing {

// The bytes of `text` in memory of exactly that size, so that a sanitizer sees every read beyond
// the end.
class ExactBytes {
 public:
  explicit ExactBytes(const std::string& text)
      : data_(new std::byte[text.size()]), size_(text.size()) {
    if (size_ > 0) std::memcpy(data_.get(), text.data(), size_);
  }
  Bytes bytes() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<std::byte[]> data_;
  size_t size_;
};

// Calls check(bytes, what happened) for every proper prefix of `valid`.
template <class Check>
void for_each_truncation(const std::string& valid, Check&& check) {
  for (size_t size = 0; size < valid.size(); ++size)
    check(ExactBytes(valid.substr(0, size)).bytes(), "cut after " + std::to_string(size));
}

// Calls check(bytes, what happened) with each of the first 8 * `header_bytes` bits flipped.
template <class Check>
void for_each_bit_flip(const std::string& valid, size_t header_bytes, Check&& check) {
  for (size_t bit = 0; bit < 8 * header_bytes; ++bit) {
    std::string changed = valid;
    changed[bit / 8] = char(changed[bit / 8] ^ (1 << bit % 8));
    check(ExactBytes(changed).bytes(), "bit " + std::to_string(bit));
  }
}

inline std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace weft::testing
