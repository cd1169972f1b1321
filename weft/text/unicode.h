// What kind each Unicode character is, as the pre-tokenizers' classes \p{L}, \p{N}, \s ... need it,
// and the normalization forms. Unicode 16.0.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace weft {

// General categories (Unicode 16, table 4-4), with white space first: the characters of White_Space
// (PropList.txt), of which \r and \n are apart.
enum class CharKind : uint8_t {
  other,
  newline,
  space,
  upper,          // Lu
  lower,          // Ll
  title,          // Lt
  modifier,       // Lm
  other_letter,   // Lo
  mark,           // M
  digit,          // Nd
  letter_number,  // Nl
  other_number,   // No
  connector,      // Pc
  punctuation,    // the other P
  symbol,         // S
};

// A set of kinds.
using KindSet = uint32_t;
template <class... Kinds>
constexpr KindSet set_of(Kinds... kinds) {
  return (... | (KindSet(1) << int(kinds)));
}
constexpr KindSet white_space = set_of(CharKind::newline, CharKind::space);
constexpr KindSet letters = set_of(CharKind::upper, CharKind::lower, CharKind::title,
                                   CharKind::modifier, CharKind::other_letter);
constexpr KindSet marks = set_of(CharKind::mark);
constexpr KindSet numbers =
    set_of(CharKind::digit, CharKind::letter_number, CharKind::other_number);
constexpr KindSet punctuations = set_of(CharKind::connector, CharKind::punctuation);
constexpr KindSet symbols = set_of(CharKind::symbol);

// The kind of every code point, by code point; made at the first call.
const CharKind* char_kinds();

inline bool is_in(KindSet set, CharKind kind) {
  return (set >> int(kind) & 1) != 0;
}

// \w of Unicode TS 18: letters, marks, decimal digits, connectors, joiners.
bool is_word_char(char32_t code_point);

// Error(data) that says where, for a text that is not UTF-8.
void check_utf8(std::string_view text);

enum class NormalForm : uint8_t { nfc, nfd, nfkc, nfkd };

// `text` must be UTF-8. As Unicode 10 has it: see unicode.cpp.
std::string normalized(std::string_view text, NormalForm form);

}  // namespace weft
