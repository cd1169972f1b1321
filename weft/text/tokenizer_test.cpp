#include "weft/text/tokenizer.h"

#include <gtest/gtest.h>
#include <random>

#include "tests/expect_error.h"
#include "tests/mutations.h"
#include "tests/temp_directory.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"
#include "weft/text/byte_tokenizer.h"
#include "weft/text/char_tokenizer.h"

namespace weft {
namespace {

using testing::TempDirectory;

const std::string euro = "\xE2\x82\xAC", grin = "\xF0\x9F\x98\x80", replacement = "\xEF\xBF\xBD";

std::string file_of(const Tokenizer& tokenizer) {
  const TempDirectory dir;
  save_tokenizer(tokenizer, dir / "t.json");
  return read_file(dir / "t.json", 1 << 20);
}

std::unique_ptr<Tokenizer> parse(std::string_view text) {
  return tokenizer_from_json(parse_json(text, "t.json"), "t.json");
}

TEST(CharTokenizer, IdsAreIndicesInCodePointOrder) {
  const auto tokenizer = CharTokenizer::from_text("hello\n" + grin + euro + "A");
  EXPECT_EQ(tokenizer.vocab_size(), 8);  // \n A e h l o euro grin
  EXPECT_EQ(tokenizer.encode("hell\nA" + euro + grin),
            (std::vector<int32_t>{3, 2, 4, 4, 0, 1, 6, 7}));
  EXPECT_EQ(tokenizer.piece(6), euro);
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{7, 3}), grin + "h");
}

TEST(CharTokenizer, UnknownCharactersAreNamedWithTheirOffset) {
  const auto tokenizer = CharTokenizer::from_text("abc");
  EXPECT_ERROR(user, "the character \"" + euro + "\" (U+20AC) at byte 2 is not among the 3",
               tokenizer.encode("ab" + euro));
  EXPECT_ERROR(user, "\"\\x0a\" (U+000A) at byte 0", tokenizer.encode("\n"));
  EXPECT_ERROR(data, "not UTF-8 at byte 1: \"\\xff\"", tokenizer.encode("a\xFF"));
  EXPECT_ERROR(data, "not UTF-8 at byte 2", CharTokenizer::from_text("ab\xE2\x82"));
  EXPECT_ERROR(data, "got none", CharTokenizer::from_text(""));
  EXPECT_ERROR(user, "3 is not a token; the tokenizer has 0 to 2", tokenizer.piece(3));
  EXPECT_ERROR(user, "-1 is not a token", tokenizer.decode(std::vector<int32_t>{0, -1}));
}

TEST(ByteTokenizer, EveryByteStringSurvives) {
  const ByteTokenizer tokenizer;
  std::string all;
  for (int i = 0; i < 256; ++i) all += char(i);
  const auto ids = tokenizer.encode(all);
  for (int i = 0; i < 256; ++i) EXPECT_EQ(ids[size_t(i)], i);
  EXPECT_EQ(tokenizer.decode(ids), all);
  EXPECT_ERROR(user, "256 is not a token", tokenizer.piece(256));
}

TEST(StreamDecoder, NeverGivesHalfACharacter) {
  const ByteTokenizer tokenizer;
  const std::string text = "a" + euro + grin + "\xC3\xA9z";
  StreamDecoder decoder(tokenizer);
  std::vector<std::string> parts;
  for (const int32_t id : tokenizer.encode(text))
    if (std::string part = decoder.push(id); !part.empty()) parts.push_back(part);
  EXPECT_EQ(parts, (std::vector<std::string>{"a", euro, grin, "\xC3\xA9", "z"}));
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, CutAndWrongBytesBecomeMarks) {
  const ByteTokenizer tokenizer;
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(0xE2), "");
  EXPECT_EQ(decoder.push('x'), replacement + "x");
  EXPECT_EQ(decoder.push(0xFF), replacement);
  EXPECT_EQ(decoder.push(0xF0), "");
  EXPECT_EQ(decoder.push(0x9F), "");
  EXPECT_EQ(decoder.finish(), replacement);
  EXPECT_EQ(decoder.finish(), "");
}

// On random bytes, half of them from characters, the stream equals the replacement over the whole.
TEST(StreamDecoder, EqualsDecodeWithReplacement) {
  const ByteTokenizer tokenizer;
  std::mt19937 random(1);
  const std::string alphabet = euro + grin +
                               "\xC3\xA9"
                               "a\xFF\xED\xA0\xF4\x90";
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    while (text.size() < 12) text += alphabet[random() % alphabet.size()];
    StreamDecoder decoder(tokenizer);
    std::string streamed;
    for (const int32_t id : tokenizer.encode(text)) {
      const std::string part = decoder.push(id);
      EXPECT_EQ(find_invalid_utf8(part), std::string::npos);
      streamed += part;
    }
    ASSERT_EQ(streamed + decoder.finish(), replace_invalid_utf8(text)) << in_quotes(text);
  }
}

TEST(TokenizerFile, SavesAndLoads) {
  const TempDirectory dir;
  const auto chars =
      CharTokenizer::from_text(std::string("\0\"\\h\n", 5) + euro + grin + "\xF4\x8F\xBF\xBF");
  save_tokenizer(chars, dir / "t.json");
  const auto read = load_tokenizer(dir / "t.json");
  EXPECT_EQ(read->name(), "char");
  ASSERT_EQ(read->vocab_size(), chars.vocab_size());
  for (int32_t id = 0; id < chars.vocab_size(); ++id) EXPECT_EQ(read->piece(id), chars.piece(id));
  save_tokenizer(ByteTokenizer(), dir / "b.json");
  EXPECT_EQ(load_tokenizer(dir / "b.json")->name(), "byte");
  EXPECT_EQ(load_tokenizer(dir / "b.json")->vocab_size(), 256);
}

TEST(TokenizerFile, CutAnywhereIsRefused) {
  const std::string text = file_of(CharTokenizer::from_text("ab\n" + euro));
  testing::for_each_truncation(
      text.substr(0, text.size() - 1), [](Bytes bytes, const std::string& how) {
        EXPECT_FALSE(testing::accepts([&] { parse(testing::text_of(bytes)); })) << how;
      });
}

// A flipped bit may give another vocabulary, as large and as consistent.
TEST(TokenizerFile, AnyFlippedBitIsRefusedOrConsistent) {
  const std::string text = file_of(CharTokenizer::from_text("ab\n" + euro));
  testing::for_each_bit_flip(text, text.size(), [](Bytes bytes, const std::string& how) {
    testing::accepts([&] {
      const auto tokenizer = parse(testing::text_of(bytes));
      for (int32_t id = 0; id < tokenizer->vocab_size(); ++id)
        EXPECT_EQ(tokenizer->encode(tokenizer->piece(id)), std::vector<int32_t>{id}) << how;
    });
  });
}

TEST(TokenizerFile, Hostile) {
  const auto refused = [](const std::string& fields, const std::string& sentence) {
    EXPECT_ERROR(data, sentence, parse(R"({"format":"weft-tokenizer","version":1)" + fields + "}"));
  };
  refused("", "\"name\" is missing");
  refused(R"(,"name":"bpe")", "\"name\" must be \"byte\" or \"char\" or \"spm\", got \"bpe\"");
  refused(R"(,"name":1)", "\"name\" must be a string");
  refused(R"(,"name":"char")", "\"characters\" is missing");
  refused(R"(,"name":"char","characters":"")", "at least one character");
  refused(R"(,"name":"char","characters":"ba")", "distinct characters in ascending order");
  refused(R"(,"name":"char","characters":"aa")", "distinct characters in ascending order");
  refused(R"(,"name":"char","characters":["a"])", "must be a string");
  refused(R"(,"name":"char","characters":"a","x":1)", "unknown key \"x\"");
  refused(R"(,"name":"byte","version":1)", "appears twice");
  refused(R"(,"name":"byte","x":1)", "unknown key \"x\"");
  refused(R"(,"name":"char","characters":")" + std::string(5 << 20, 'a') + "\"",
          "must be a string of at most");
  EXPECT_ERROR(data, "\"format\" is missing", parse("{}"));
  EXPECT_ERROR(data, "\"format\" must be", parse(R"({"format":"x"})"));
  EXPECT_ERROR(data, "from 1 to 1, got 2", parse(R"({"format":"weft-tokenizer","version":2})"));
  EXPECT_ERROR(data, "must be a JSON object", parse("[]"));
}

}  // namespace
}  // namespace weft
