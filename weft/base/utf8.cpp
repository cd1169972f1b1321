#include "weft/base/utf8.h"

#include <cstring>

#include "weft/base/error.h"
#include "weft/base/format.h"

namespace weft {
namespace {

// The length of a character by its first byte and the range its second byte must lie in (Unicode
// 15, table 3-7).
struct Lead {
  uint8_t bytes, low, high;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Char decode_utf8(std::string_view text) {
  const uint8_t first = uint8_t(text[0]);
  if (first < 0x80) return {Utf8Char::State::whole, 1, first};
  const Lead lead = lead_of(first);
  if (lead.bytes == 0) return {Utf8Char::State::wrong, 1, 0};
  char32_t code_point = first & (0xFFu >> (lead.bytes + 1));
  uint8_t low = lead.low, high = lead.high;
  for (uint8_t i = 1; i < lead.bytes; ++i, low = 0x80, high = 0xBF) {
    if (i >= text.size()) return {Utf8Char::State::cut_off, i, 0};
    const uint8_t byte = uint8_t(text[i]);
    if (byte < low || byte > high) return {Utf8Char::State::wrong, i, 0};
    code_point = code_point << 6 | (byte & 0x3Fu);
  }
  return {Utf8Char::State::whole, lead.bytes, code_point};
}

size_t find_invalid_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    uint64_t word;
    if (i + 8 <= text.size() &&
        (std::memcpy(&word, text.data() + i, 8), (word & 0x8080808080808080u) == 0)) {
      i += 8;  // eight ASCII characters
      continue;
    }
    const Utf8Char c = decode_utf8(text.substr(i));
    if (c.state != Utf8Char::State::whole) return i;
    i += c.bytes;
  }
  return std::string_view::npos;
}

void append_utf8(std::string& text, char32_t c) {
  WEFT_CHECK(c <= max_code_point && !(c >= 0xD800 && c <= 0xDFFF), "code point {:#x}", uint32_t(c));
  const auto tail = [&](int shift) { text += char(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    text += char(c);
  } else if (c < 0x800) {
    text += char(0xC0 | (c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    text += char(0xE0 | (c >> 12));
    tail(6), tail(0);
  } else {
    text += char(0xF0 | (c >> 18));
    tail(12), tail(6), tail(0);
  }
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.state == Utf8Char::State::whole)
      out += text.substr(0, c.bytes);
    else
      append_utf8(out, 0xFFFD);
    text.remove_prefix(c.bytes);
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  constexpr size_t most = 60;
  std::string out = "\"";
  size_t i = 0;
  while (i < text.size() && i < most) {
    const Utf8Char c = decode_utf8(text.substr(i));
    const bool printable = c.state == Utf8Char::State::whole && c.code_point >= 0x20 &&
                           !(c.code_point >= 0x7F && c.code_point < 0xA0);
    if (printable && c.code_point != '"' && c.code_point != '\\')
      out += text.substr(i, c.bytes);
    else if (printable)
      (out += '\\') += text[i];
    else
      for (size_t k = 0; k < c.bytes; ++k) out += format("\\x{:02x}", uint8_t(text[i + k]));
    i += c.bytes;
  }
  out += '"';
  if (i < text.size()) out += format("... ({} bytes)", text.size());
  return out;
}

}  // namespace weft
