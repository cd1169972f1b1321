#include "weft/text/pre_tokenizer.h"

#include <gtest/gtest.h>
#include <random>

#include "tests/expect_error.h"
#include "weft/base/utf8.h"
#include "weft/text/unicode.h"

namespace weft {
namespace {

using Strings = std::vector<std::string>;

Strings pieces_of(const Splitter& splitter, std::string_view text) {
  Strings pieces;
  for (size_t at = 0; at < text.size();) {
    const Piece piece = splitter.next(text, at);
    if (piece.begin == piece.end) break;
    pieces.emplace_back(text.substr(piece.begin, piece.end - piece.begin));
    at = piece.end;
  }
  return pieces;
}

Strings split(SplitRule rule, std::string_view text) {
  Strings pieces;
  PreTokenizer({std::move(rule)}, "t.json").for_each_piece(text, [&](std::string_view piece) {
    pieces.emplace_back(piece);
  });
  return pieces;
}

// A character that PCRE2's Unicode 14 has in the category that we give it.
char32_t random_character(std::mt19937& random) {
  static const std::u32string ascii = U"aAzZ09 '\t\r\n\v._-/#sStTmMdDrRvVlLeE";
  static const std::u32string wide =
      U"\u00a0\u0085\u180e\u1680\u2028\u3000\u00e9\u00c9\u01c5\u02b0\u4e00\u9fa5\u9fa6\u3040\u30ff"
      U"\u31f0\u0301\u0903\u20dd\u0660\u2167\u00b2\u203f\u00ab\u20ac\u017f\u212a\u200d\ufeff"
      U"\U0001f600\U0001d400\U0001d41a\U000e0001\U0010fffd";
  switch (random() % 4) {
    case 0:
    case 1:
      return ascii[random() % ascii.size()];
    case 2:
      return wide[random() % wide.size()];
    default:
      return char32_t(random() % 0x0870);  // no character of these is younger
  }
}

std::string random_text(std::mt19937& random) {
  std::string text;
  for (size_t n = random() % 24 + 1; n > 0; --n) append_utf8(text, random_character(random));
  return text;
}

TEST(Scanner, CutsAsPcre2Does) {
  std::vector<std::string_view> patterns = {gpt2_pattern, llama3_pattern, qwen2_pattern,
                                            o200k_pattern};
  patterns.insert(patterns.end(), std::begin(deepseek3_patterns), std::end(deepseek3_patterns));
  patterns.insert(patterns.end(), std::begin(deepseek_coder_patterns),
                  std::end(deepseek_coder_patterns));
  std::mt19937 random(7);
  for (const std::string_view pattern : patterns) {
    const auto scanner = make_scanner(pattern);
    ASSERT_NE(scanner, nullptr) << pattern;
    const auto regex = make_regex_splitter({.pattern = std::string(pattern)}, "t.json");
    for (int round = 0; round < 20000; ++round) {
      const std::string text = random_text(random);
      ASSERT_EQ(pieces_of(*scanner, text), pieces_of(*regex, text))
          << pattern << " on " << in_quotes(text);
    }
  }
}

TEST(Scanner, FindsPatternsHoweverTheySpellLineEnds) {
  std::string literal(llama3_pattern);
  for (size_t at; (at = literal.find("\\r\\n")) != literal.npos;) literal.replace(at, 4, "\r\n");
  EXPECT_NE(make_scanner(literal), nullptr);
  EXPECT_EQ(make_scanner("\\d+"), nullptr);
  EXPECT_EQ(make_scanner(deepseek3_patterns[0], false), nullptr);
}

TEST(Splitter, MatchesAndGapsAreKeptOrRemoved) {
  const auto rule = [](bool matches, bool gaps) {
    return SplitRule{.pattern = "[a-c]+", .keep_matches = matches, .keep_gaps = gaps};
  };
  EXPECT_EQ(split(rule(true, true), "xxabyyc"), (Strings{"xx", "ab", "yy", "c"}));
  EXPECT_EQ(split(rule(true, false), "xxabyyc"), (Strings{"ab", "c"}));
  EXPECT_EQ(split(rule(false, true), "xxabyyc"), (Strings{"xx", "yy"}));
  EXPECT_EQ(split(rule(true, false), "xx"), Strings{});
  const SplitRule literal{.kind = SplitRule::Kind::literal, .pattern = "--"};
  EXPECT_EQ(split(literal, "a--b---"), (Strings{"a", "--", "b", "--", "-"}));
  const SplitRule no_literal{
      .kind = SplitRule::Kind::literal, .pattern = "-", .keep_matches = false};
  EXPECT_EQ(split(no_literal, "-a-b-"), (Strings{"a", "b"}));
}

TEST(Splitter, DigitsTogetherOrAlone) {
  const auto rule = [](bool single) {
    return SplitRule{.kind = SplitRule::Kind::digits, .single_digits = single};
  };
  EXPECT_EQ(split(rule(true), "ab12\u0663c"), (Strings{"ab", "1", "2", "\u0663", "c"}));
  EXPECT_EQ(split(rule(false), "ab12\u0663c"), (Strings{"ab", "12\u0663", "c"}));
}

TEST(Splitter, EmptyMatchesAreCuts) {
  EXPECT_EQ(split({.pattern = "(?=[A-Z])"}, "HelloBigWorld"), (Strings{"Hello", "Big", "World"}));
  EXPECT_EQ(split({.pattern = "x*"}, "axxb"), (Strings{"a", "xx", "b"}));
}

TEST(PreTokenizer, StepsCutThePiecesOfTheStepBefore) {
  std::vector<SplitRule> rules;
  for (const std::string_view pattern : deepseek3_patterns)
    rules.push_back({.pattern = std::string(pattern)});
  Strings pieces;
  PreTokenizer(rules, "t.json").for_each_piece("a1234 \u4e00\u4e8cb .x!\n", [&](auto piece) {
    pieces.emplace_back(piece);
  });
  EXPECT_EQ(pieces, (Strings{"a", "123", "4", " ", "\u4e00\u4e8c", "b", " .", "x", "!\n"}));
}

// Oniguruma's classes, which PCRE2 has otherwise.
TEST(Regex, ClassesAreOnigurumas) {
  EXPECT_EQ(split({.pattern = "\\s+"}, "a\u180e\u3000\u0085b"),
            (Strings{"a\u180e", "\u3000\u0085", "b"}));
  EXPECT_EQ(split({.pattern = "[^\\s]+"}, "a\u180e b"), (Strings{"a\u180e", " ", "b"}));
  EXPECT_EQ(split({.pattern = "\\S"}, "a  "), (Strings{"a", "  "}));
  EXPECT_EQ(split({.pattern = "\\w+"}, "e\u0301_-"), (Strings{"e\u0301_", "-"}));
  EXPECT_EQ(split({.pattern = "\\h+"}, "fz"), (Strings{"f", "z"}));
  EXPECT_EQ(split({.pattern = "[]\\]x[:digit:]]+"}, "a]x1b"), (Strings{"a", "]x1", "b"}));
}

TEST(Regex, WrongPatternsAreRefused) {
  const auto refused = [](const std::string& pattern, const std::string& sentence) {
    EXPECT_ERROR(data, sentence, split({.pattern = pattern}, "a"));
  };
  refused("(a", "t.json: the pattern \"(a\" is wrong: missing closing parenthesis");
  refused("[\\w&&[^a]]", "class within a class");
  refused("[a[b]]", "class within a class");
  refused("\\C", "is wrong");
  refused("", "pattern is empty");
  refused("\\p{Nonsense}", "is wrong");
  refused(std::string(20000, 'a'), "at most 16384 are allowed");
  refused(std::string(1000, '(') + std::string(1000, ')'), "is wrong");
  refused("(((a{1,999}){1,999}){1,999}){1,999}", "is wrong");
  refused("[[:x", "is wrong");
  refused("\\", "is wrong");
}

TEST(Regex, ExplodingPatternsStop) {
  const std::string text = std::string(40, 'a') + "b";
  EXPECT_ERROR(data, "takes too long on the text", split({.pattern = "(a|aa|a)+$"}, text));
  EXPECT_ERROR(data, "takes too long", split({.pattern = "(a+)+[cd]"}, text));
}

TEST(PreTokenizer, LongRunsAreLinear) {
  const size_t n = 1 << 20;
  const std::string blank(n, ' '), word(n, 'a'), upper(n, 'A'), lines(n, '\n');
  for (const std::string_view pattern : {gpt2_pattern, llama3_pattern, o200k_pattern}) {
    for (const auto& splitter :
         {make_scanner(pattern),
          make_regex_splitter({.pattern = std::string(pattern)}, "t.json")}) {
      EXPECT_EQ(pieces_of(*splitter, word), Strings{word});
      EXPECT_EQ(pieces_of(*splitter, upper), Strings{upper});
      EXPECT_EQ(pieces_of(*splitter, lines), Strings{lines});
      EXPECT_EQ(pieces_of(*splitter, blank + "."), (Strings{blank.substr(1), " ."}));
    }
  }
}

}  // namespace
}  // namespace weft
