#include "weft/text/unicode.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <utf8proc.h>

#include "weft/base/error.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

using enum CharKind;

struct KindRange {
  char32_t first, last;
  CharKind kind;
};

// What Unicode 15.1 and 16.0 added; Debian's utf8proc knows 15.0. DerivedGeneralCategory.txt.
constexpr KindRange added_since_15[] = {{0x897, 0x897, mark},
                                        {0x1B4E, 0x1B4F, punctuation},
                                        {0x1B7F, 0x1B7F, punctuation},
                                        {0x1C89, 0x1C89, upper},
                                        {0x1C8A, 0x1C8A, lower},
                                        {0x2427, 0x2429, symbol},
                                        {0x2FFC, 0x2FFF, symbol},
                                        {0x31E4, 0x31E5, symbol},
                                        {0x31EF, 0x31EF, symbol},
                                        {0xA7CB, 0xA7CC, upper},
                                        {0xA7CD, 0xA7CD, lower},
                                        {0xA7DA, 0xA7DA, upper},
                                        {0xA7DB, 0xA7DB, lower},
                                        {0xA7DC, 0xA7DC, upper},
                                        {0x105C0, 0x105F3, other_letter},
                                        {0x10D40, 0x10D49, digit},
                                        {0x10D4A, 0x10D4D, other_letter},
                                        {0x10D4E, 0x10D4E, modifier},
                                        {0x10D4F, 0x10D4F, other_letter},
                                        {0x10D50, 0x10D65, upper},
                                        {0x10D69, 0x10D6D, mark},
                                        {0x10D6E, 0x10D6E, punctuation},
                                        {0x10D6F, 0x10D6F, modifier},
                                        {0x10D70, 0x10D85, lower},
                                        {0x10D8E, 0x10D8F, symbol},
                                        {0x10EC2, 0x10EC4, other_letter},
                                        {0x10EFC, 0x10EFC, mark},
                                        {0x11380, 0x11389, other_letter},
                                        {0x1138B, 0x1138B, other_letter},
                                        {0x1138E, 0x1138E, other_letter},
                                        {0x11390, 0x113B5, other_letter},
                                        {0x113B7, 0x113B7, other_letter},
                                        {0x113B8, 0x113C0, mark},
                                        {0x113C2, 0x113C2, mark},
                                        {0x113C5, 0x113C5, mark},
                                        {0x113C7, 0x113CA, mark},
                                        {0x113CC, 0x113D0, mark},
                                        {0x113D1, 0x113D1, other_letter},
                                        {0x113D2, 0x113D2, mark},
                                        {0x113D3, 0x113D3, other_letter},
                                        {0x113D4, 0x113D5, punctuation},
                                        {0x113D7, 0x113D8, punctuation},
                                        {0x113E1, 0x113E2, mark},
                                        {0x116D0, 0x116E3, digit},
                                        {0x11BC0, 0x11BE0, other_letter},
                                        {0x11BE1, 0x11BE1, punctuation},
                                        {0x11BF0, 0x11BF9, digit},
                                        {0x11F5A, 0x11F5A, mark},
                                        {0x13460, 0x143FA, other_letter},
                                        {0x16100, 0x1611D, other_letter},
                                        {0x1611E, 0x1612F, mark},
                                        {0x16130, 0x16139, digit},
                                        {0x16D40, 0x16D42, modifier},
                                        {0x16D43, 0x16D6A, other_letter},
                                        {0x16D6B, 0x16D6C, modifier},
                                        {0x16D6D, 0x16D6F, punctuation},
                                        {0x16D70, 0x16D79, digit},
                                        {0x18CFF, 0x18CFF, other_letter},
                                        {0x1CC00, 0x1CCEF, symbol},
                                        {0x1CCF0, 0x1CCF9, digit},
                                        {0x1CD00, 0x1CEB3, symbol},
                                        {0x1E5D0, 0x1E5ED, other_letter},
                                        {0x1E5EE, 0x1E5EF, mark},
                                        {0x1E5F0, 0x1E5F0, other_letter},
                                        {0x1E5F1, 0x1E5FA, digit},
                                        {0x1E5FF, 0x1E5FF, punctuation},
                                        {0x1F8B2, 0x1F8BB, symbol},
                                        {0x1F8C0, 0x1F8C1, symbol},
                                        {0x1FA89, 0x1FA89, symbol},
                                        {0x1FA8F, 0x1FA8F, symbol},
                                        {0x1FABE, 0x1FABE, symbol},
                                        {0x1FAC6, 0x1FAC6, symbol},
                                        {0x1FADC, 0x1FADC, symbol},
                                        {0x1FADF, 0x1FADF, symbol},
                                        {0x1FAE9, 0x1FAE9, symbol},
                                        {0x1FBCB, 0x1FBEF, symbol},
                                        {0x2EBF0, 0x2EE5D, other_letter}};
constexpr char32_t white_spaces[] = {0x09,   0x0B,   0x0C,   0x20,   0x85,   0xA0,   0x1680, 0x2000,
                                     0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
                                     0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};

CharKind kind_of_category(utf8proc_category_t category) {
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
      return upper;
    case UTF8PROC_CATEGORY_LL:
      return lower;
    case UTF8PROC_CATEGORY_LT:
      return title;
    case UTF8PROC_CATEGORY_LM:
      return modifier;
    case UTF8PROC_CATEGORY_LO:
      return other_letter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return mark;
    case UTF8PROC_CATEGORY_ND:
      return digit;
    case UTF8PROC_CATEGORY_NL:
      return letter_number;
    case UTF8PROC_CATEGORY_NO:
      return other_number;
    case UTF8PROC_CATEGORY_PC:
      return connector;
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return punctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return symbol;
    default:
      return other;
  }
}

// Zeros that the system provides where nothing is written: most planes are empty.
using KindTable = std::array<CharKind, max_code_point + 1>;
KindTable kinds_by_code_point;

const CharKind* make_char_kinds() {
  KindTable& table = kinds_by_code_point;
  const auto fill = [&](char32_t first, char32_t last) {
    for (char32_t c = first; c <= last; ++c)
      table[c] = kind_of_category(utf8proc_category(utf8proc_int32_t(c)));
  };
  fill(0, 0x33FFF);        // planes 0 to 3, as far as they are used
  fill(0xE0000, 0xE0FFF);  // tags and variation selectors
  for (const KindRange& range : added_since_15)
    for (char32_t c = range.first; c <= range.last; ++c) table[c] = range.kind;
  for (const char32_t c : white_spaces) table[c] = space;
  table['\r'] = table['\n'] = newline;
  return table.data();
}

// Letters to TS 18 by Other_Alphabetic (PropList.txt), though symbols by category.
bool is_circled_letter(char32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

}  // namespace

const CharKind* char_kinds() {
  static const CharKind* const kinds = make_char_kinds();
  return kinds;
}

void check_utf8(std::string_view text) {
  if (const size_t bad = find_invalid_utf8(text); bad != std::string_view::npos)
    data_error("the text is not UTF-8 at byte {}: {}; convert it first", bad,
               in_quotes(text.substr(bad, 4)));
}

bool is_word_char(char32_t code_point) {
  constexpr KindSet word = letters | marks | set_of(digit, letter_number, connector);
  return is_in(word, char_kinds()[code_point]) || code_point == 0x200C || code_point == 0x200D ||
         is_circled_letter(code_point);
}

namespace {

struct CodeRange {
  char32_t first, last;
};

// What Unicode 11 to 15 gave a combining class or a decomposition. Hugging Face's tokenizers
// library normalizes by Unicode 10, to which these are unassigned: they stay, and nothing moves
// past them. A model's ids are the library's, so Weft does the same.
constexpr CodeRange unknown_to_unicode_10[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
    {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},
    {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x10781, 0x10785}, {0x10787, 0x107B0},
    {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11938, 0x11938},
    {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34},
    {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45},
    {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E030, 0x1E06D},
    {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF},
    {0x1E4EC, 0x1E4EF}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

bool stays(char32_t c) {
  const auto* const after =
      std::ranges::upper_bound(unknown_to_unicode_10, c, {}, &CodeRange::first);
  return after != std::begin(unknown_to_unicode_10) && c <= (after - 1)->last;
}

std::string normalized_part(std::string_view text, NormalForm form) {
  int options = UTF8PROC_STABLE;
  options |=
      form == NormalForm::nfc || form == NormalForm::nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::nfkc || form == NormalForm::nfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   utf8proc_ssize_t(text.size()), &result, utf8proc_option_t(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, &std::free);
  if (size == UTF8PROC_ERROR_NOMEM || size == UTF8PROC_ERROR_OVERFLOW)
    resource_error("no memory to normalize a text of {} bytes; give it in parts", text.size());
  WEFT_CHECK(size >= 0, "{}", utf8proc_errmsg(size));
  return std::string(reinterpret_cast<const char*>(result), size_t(size));
}

}  // namespace

std::string normalized(std::string_view text, NormalForm form) {
  std::string out;
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(at));
    if (stays(c.code_point)) {
      out += normalized_part(text.substr(done, at - done), form);
      out += text.substr(at, c.bytes);
      done = at + c.bytes;
    }
    at += c.bytes;
  }
  return out += normalized_part(text.substr(done), form);
}

}  // namespace weft
