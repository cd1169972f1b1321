#include "weft/text/unicode.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

CharKind kind(char32_t c) {
  return char_kinds()[c];
}

TEST(Unicode, KindsOfSomeCharacters) {
  EXPECT_EQ(kind('A'), CharKind::upper);
  EXPECT_EQ(kind(U'\u01c5'), CharKind::title);
  EXPECT_EQ(kind(U'\u4e00'), CharKind::other_letter);
  EXPECT_EQ(kind(U'\u0301'), CharKind::mark);
  EXPECT_EQ(kind('_'), CharKind::connector);
  EXPECT_EQ(kind('+'), CharKind::symbol);
  EXPECT_EQ(kind('\n'), CharKind::newline);
  EXPECT_EQ(kind(0x85), CharKind::space);
  EXPECT_EQ(kind(0x180E), CharKind::other);          // no white space since Unicode 6.3
  EXPECT_EQ(kind(0x1CCF0), CharKind::digit);         // Unicode 16
  EXPECT_EQ(kind(0x2EBF0), CharKind::other_letter);  // Unicode 15.1
  EXPECT_EQ(kind(0xE0100), CharKind::mark);
  EXPECT_EQ(kind(0x10FFFF), CharKind::other);
}

// Counts of Unicode 16 (DerivedGeneralCategory.txt).
TEST(Unicode, NumbersOfCharacters) {
  size_t l = 0, m = 0, n = 0, p = 0, s = 0, blank = 0;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    l += is_in(letters, kind(c)), m += is_in(marks, kind(c)), n += is_in(numbers, kind(c));
    p += is_in(punctuations, kind(c)), s += is_in(symbols, kind(c));
    blank += is_in(white_space, kind(c));
  }
  EXPECT_EQ(l, 141028u);
  EXPECT_EQ(m, 2501u);
  EXPECT_EQ(n, 1911u);
  EXPECT_EQ(p, 855u);
  EXPECT_EQ(s, 8514u);
  EXPECT_EQ(blank, 25u);
}

TEST(Unicode, WordCharacters) {
  for (const char32_t c : U"aZ9_\u00e9\u0301\u4e00\u200d\u24b6") EXPECT_EQ(is_word_char(c), c != 0);
  for (const char32_t c : U" -.\u00b2\u20ac") EXPECT_FALSE(is_word_char(c));
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(normalized("e\u0301\ufb01", NormalForm::nfc), "\u00e9\ufb01");
  EXPECT_EQ(normalized("\u00e9\ufb01", NormalForm::nfd), "e\u0301\ufb01");
  EXPECT_EQ(normalized("e\u0301\ufb01", NormalForm::nfkc), "\u00e9fi");
  EXPECT_EQ(normalized("\u00e9\ufb01", NormalForm::nfkd), "e\u0301fi");
  EXPECT_EQ(normalized(std::string_view("a\0b", 3), NormalForm::nfc), std::string_view("a\0b", 3));
}

}  // namespace
}  // namespace weft
