#include "weft/text/byte_alphabet.h"

#include <array>

#include "weft/base/utf8.h"

namespace weft {
namespace {

constexpr bool is_printable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
}

struct Alphabet {
  std::array<char32_t, 256> character{};  // by byte
  std::array<int16_t, 512> byte{};        // by character, or -1
};
constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  char32_t next = 256;
  for (int b = 0; b < 256; ++b) {
    const char32_t c = is_printable(b) ? char32_t(b) : next++;
    alphabet.character[size_t(b)] = c;
    alphabet.byte[c] = int16_t(b);
  }
  return alphabet;
}
constexpr Alphabet alphabet = make_alphabet();

}  // namespace

char32_t alphabet_character(uint8_t byte) {
  return alphabet.character[byte];
}

std::optional<std::string> bytes_of_alphabet(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.state != Utf8Char::State::whole || c.code_point >= alphabet.byte.size() ||
        alphabet.byte[c.code_point] < 0)
      return std::nullopt;
    bytes += char(alphabet.byte[c.code_point]);
    text.remove_prefix(c.bytes);
  }
  return bytes;
}

std::string in_alphabet(std::string_view bytes) {
  std::string text;
  for (const char b : bytes) append_utf8(text, alphabet.character[uint8_t(b)]);
  return text;
}

}  // namespace weft
