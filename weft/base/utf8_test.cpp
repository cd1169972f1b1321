#include "weft/base/utf8.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

using State = Utf8Char::State;

TEST(Utf8, EveryCodePointSurvivesTheRoundTrip) {
  for (char32_t c = 0; c <= max_code_point; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    const Utf8Char read = decode_utf8(text);
    ASSERT_EQ(read.state, State::whole) << uint32_t(c);
    ASSERT_EQ(read.code_point, c);
    ASSERT_EQ(read.bytes, text.size());
  }
}

// Unicode 15, section 3.9, tables 3-8 to 3-11, and the ends of the ranges.
TEST(Utf8, RefusesWhatIsNotUtf8) {
  for (const char* wrong :
       {"\x80", "\xBF", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xED\xBF\xBF", "\xF0\x80\x80\xAF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80", "\xFE", "\xFF", "\xC2x", "\xE1\x80x", "\xF1\x80\x80x"})
    EXPECT_EQ(decode_utf8(wrong).state, State::wrong) << in_quotes(wrong);
  for (const char* cut : {"\xC2", "\xE1\x80", "\xF1\x80\x80", "\xE0", "\xF4\x8F"})
    EXPECT_EQ(decode_utf8(cut).state, State::cut_off) << in_quotes(cut);
}

TEST(Utf8, FindsTheFirstWrongByteAtEveryOffset) {
  const std::string ascii = "0123456789abcdefghij";
  EXPECT_EQ(find_invalid_utf8(ascii), std::string::npos);
  for (size_t at = 0; at < ascii.size(); ++at) {
    std::string text = ascii;
    text[at] = '\xFF';
    EXPECT_EQ(find_invalid_utf8(text), at);
  }
  EXPECT_EQ(find_invalid_utf8("abc\xE2\x82"), 3u);
  EXPECT_EQ(find_invalid_utf8("\xE2\x82\xAC"), std::string::npos);
}

TEST(Utf8, ReplacesEachMaximalWrongPart) {
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(replace_invalid_utf8("a\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                                 "b"),
            "a" + mark + mark + mark + mark + "b");
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xE2\x82\xAC"), mark + mark + "\xE2\x82\xAC");
}

TEST(Utf8, QuotedTextIsShortAndPrintable) {
  EXPECT_EQ(in_quotes(std::string("a\0\n\"\\\xFF\xC2\x85", 8)), R"("a\x00\x0a\"\\\xff\xc2\x85")");
  EXPECT_EQ(in_quotes("h\xC3\xA9"), "\"h\xC3\xA9\"");
  EXPECT_EQ(in_quotes(std::string(1000, 'x')), '"' + std::string(60, 'x') + "\"... (1000 bytes)");
}

}  // namespace
}  // namespace weft
