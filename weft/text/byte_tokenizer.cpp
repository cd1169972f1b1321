#include "weft/text/byte_tokenizer.h"

#include <array>

#include "weft/base/error.h"
#include "weft/base/json.h"

namespace weft {
namespace {

constexpr std::array<char, 256> all_bytes() {
  std::array<char, 256> bytes{};
  for (int i = 0; i < 256; ++i) bytes[size_t(i)] = char(uint8_t(i));
  return bytes;
}
constexpr std::array<char, 256> bytes = all_bytes();

}  // namespace

std::vector<int32_t> ByteTokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids(text.size());
  for (size_t i = 0; i < text.size(); ++i) ids[i] = uint8_t(text[i]);
  return ids;
}

std::string_view ByteTokenizer::piece(int32_t id) const {
  if (id < 0 || id >= 256) user_error("{} is not a token; the byte tokenizer has 0 to 255", id);
  return {&bytes[size_t(id)], 1};
}

Json ByteTokenizer::to_json() const {
  return {{"format", "weft-tokenizer"}, {"version", 1}, {"name", name()}};
}

}  // namespace weft
