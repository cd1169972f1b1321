// UTF-8 as bytes that may be wrong: checked decoding, and text that is safe to print in an error
// sentence.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weft {

constexpr char32_t max_code_point = 0x10FFFF;

// One character: how many bytes it takes and what it is.
struct Utf8Char {
  enum class State : uint8_t {
    whole,
    cut_off,  // a right beginning, but the text ends before the character does
    wrong,    // no text that starts so is UTF-8 (RFC 3629: no surrogates, no overlong forms)
  };
  State state;
  // For cut_off and wrong: the longest right beginning, at least 1; what U+FFFD stands for (Unicode
  // 15, section 3.9).
  uint8_t bytes;
  char32_t code_point;
};

// The character at the start of `text`, which must not be empty.
Utf8Char decode_utf8(std::string_view text);

// The offset of the first byte that is not UTF-8, or npos.
size_t find_invalid_utf8(std::string_view text);

void append_utf8(std::string& text, char32_t code_point);

// `text` with each wrong part replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

// "text" in double quotes for an error sentence: control characters and bytes that are not UTF-8 as
// \xNN, cut after about 60 bytes.
std::string in_quotes(std::string_view text);

}  // namespace weft
