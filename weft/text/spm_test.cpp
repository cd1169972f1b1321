#include "weft/text/spm.h"

#include <cmath>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "weft/base/format.h"
#include "weft/base/json.h"

namespace weft {
namespace {

using Ids = std::vector<int32_t>;

// <unk>, <s>, </s>, the bytes from 3 on, then tokens with scores from 259 on.
SpmParts parts_with(const std::vector<std::pair<std::string, double>>& tokens) {
  SpmParts parts{{"<unk>", "<s>", "</s>"}, {0, 0, 0}, {2, 3, 3}};
  const auto add = [&](const std::string& token, double score, int64_t type) {
    parts.tokens.push_back(token), parts.scores.push_back(score), parts.types.push_back(type);
  };
  for (int b = 0; b < 256; ++b) add(format("<0x{:02X}>", b), 0, SpmParts::byte);
  for (const auto& [token, score] : tokens) add(token, score, SpmParts::normal);
  parts.start = {1};
  return parts;
}
const std::vector<std::pair<std::string, double>> tokens = {
    {"\u2581", -9}, {"a", -8}, {"b", -7}, {"ab", -2}, {"\u2581a", -1}, {"ba", -2}};

TEST(Spm, MergesTheBestScoreAndTheLeftmostOfEqualOnes) {
  const SpmTokenizer tokenizer(parts_with(tokens), "m.gguf");
  EXPECT_EQ(tokenizer.encode("ab"), (Ids{263, 261}));        // _a b
  EXPECT_EQ(tokenizer.encode("bab"), (Ids{259, 264, 261}));  // _ ba b, though ab is as good
  EXPECT_EQ(tokenizer.encode(""), Ids{});
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("b ab")), " b ab");
}

TEST(Spm, CharactersWithoutATokenAreBytes) {
  const SpmTokenizer tokenizer(parts_with(tokens), "m.gguf");
  EXPECT_EQ(tokenizer.encode("\u00e9"), (Ids{259, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("b\u00e9")), " b\u00e9");
  EXPECT_EQ(tokenizer.piece(3 + 0x0A), "\n");
}

TEST(Spm, ControlTokensAreFoundUnlessTextIsPlain) {
  const SpmTokenizer tokenizer(parts_with(tokens), "m.gguf");
  EXPECT_EQ(tokenizer.encode("</s>a"), (Ids{2, 263}));
  EXPECT_EQ(tokenizer.encode_plain("</s>a").size(), 6u);
  EXPECT_EQ(tokenizer.added_token("</s>"), 2);
  EXPECT_TRUE(tokenizer.is_special(2));
  EXPECT_FALSE(tokenizer.is_special(260));
  EXPECT_EQ(tokenizer.start_tokens(), Ids{1});
}

TEST(Spm, WhatIsWrittenReadsAsTheSame) {
  const SpmTokenizer tokenizer(parts_with(tokens), "m.gguf");
  const auto read = tokenizer_from_json(tokenizer.to_json(), "t.json");
  EXPECT_EQ(dump_json(read->to_json()), dump_json(tokenizer.to_json()));
  EXPECT_EQ(read->encode("b ab\u00e9"), tokenizer.encode("b ab\u00e9"));
}

// The file of a tokenizer like the one above, whose rules name what is merged first.
std::string hugging_face_file(const char* normalizer, const char* pre_tokenizer) {
  Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int b = 0; b < 256; ++b) vocab[format("<0x{:02X}>", b)] = 3 + b;
  for (size_t i = 0; i < tokens.size(); ++i) vocab[tokens[i].first] = 259 + i;
  Json file = {{"normalizer", parse_json(normalizer, "")},
               {"pre_tokenizer", parse_json(pre_tokenizer, "")}};
  file["added_tokens"] = parse_json(R"([{"id":1,"content":"<s>","special":true}])", "");
  file["decoder"] = parse_json(R"({"type":"Fuse"})", "");
  file["model"] = {{"type", "BPE"}, {"byte_fallback", true}, {"vocab", vocab}};
  file["model"]["merges"] = {"b a", "a b", "\u2581 a"};
  return dump_json(file);
}
constexpr const char *llama2 = R"({"type":"Sequence","normalizers":[
  {"type":"Prepend","prepend":"\u2581"},
  {"type":"Replace","pattern":{"String":" "},"content":"\u2581"}]})",
                     *metaspace = R"({"type":"Metaspace","replacement":"\u2581"})";

TEST(Spm, ReadsATokenizerJsonWithByteFallback) {
  const auto parse = [](const std::string& text) {
    return tokenizer_from_json(parse_json(text, "t.json"), "t.json");
  };
  const auto old = parse(hugging_face_file(llama2, "null"));
  EXPECT_EQ(old->name(), "spm");
  EXPECT_EQ(old->encode("ab"), (Ids{259, 262}));        // _ ab
  EXPECT_EQ(old->encode("bab"), (Ids{259, 264, 261}));  // _ ba b
  EXPECT_EQ(old->encode(" a<s>b"), (Ids{259, 263, 1, 259, 261}));
  EXPECT_EQ(old->encode_plain("<s>").size(), 4u);
  EXPECT_EQ(parse(hugging_face_file("null", metaspace))->encode(" a<s>b"), (Ids{263, 1, 259, 261}));
  EXPECT_TRUE(old->is_special(1));
  const auto again = parse(dump_json(old->to_json()));
  EXPECT_EQ(again->encode("b ab\u00e9<s>"), old->encode("b ab\u00e9<s>"));
}

TEST(Spm, RefusesStepsOfATokenizerJsonThatItLacks) {
  const auto refused = [](const char* normalizer, const char* pre, const char* sentence) {
    EXPECT_ERROR(
        data, sentence,
        tokenizer_from_json(parse_json(hugging_face_file(normalizer, pre), "t.json"), "t"));
  };
  refused("null", "null", "no step turns spaces");
  refused(R"({"type":"Prepend","prepend":"\u2581"})", "null", "no step turns spaces");
  refused(R"({"type":"Prepend","prepend":"_"})", "null", "normalizer.prepend\" must be");
  refused(R"({"type":"NFKC"})", "null", "the normalizer \"NFKC\" is not supported");
  refused("null", R"({"type":"ByteLevel"})", "the pre_tokenizer \"ByteLevel\" is not supported");
  refused(llama2, metaspace, "a step before has made marks");
  refused("null", R"({"type":"Metaspace","replacement":"_"})",
          "pre_tokenizer.replacement\" must be");
  refused("null", R"({"type":"Metaspace","replacement":"\u2581","prepend_scheme":"x"})",
          "\"first\"");
}

TEST(Spm, Hostile) {
  const auto refused = [](const std::string& sentence, auto&& change) {
    SpmParts parts = parts_with(tokens);
    change(parts);
    EXPECT_ERROR(data, sentence, SpmTokenizer(parts, "m.gguf"));
  };
  refused("0 tokens", [](SpmParts& p) { p = {}; });
  refused("265 tokens, 3 scores", [](SpmParts& p) { p.scores.resize(3); });
  refused("and 264 types", [](SpmParts& p) { p.types.pop_back(); });
  refused("must be UTF-8 of 1 to 256", [](SpmParts& p) { p.tokens[260] = ""; });
  refused("must be UTF-8 of 1 to 256", [](SpmParts& p) { p.tokens[260] = "\xFF"; });
  refused("must be UTF-8 of 1 to 256", [](SpmParts& p) { p.tokens[260] = std::string(257, 'a'); });
  refused("score of token 260", [](SpmParts& p) { p.scores[260] = NAN; });
  refused("must be a byte like <0x41>", [](SpmParts& p) { p.tokens[3] = "<0x-1>"; });
  refused("the byte 0x00 has no token", [](SpmParts& p) { p.tokens[3] = "<0x01>"; });
  refused("the token \"a\" appears twice", [](SpmParts& p) { p.tokens[261] = "a"; });
  refused("has the id 265", [](SpmParts& p) { p.start = {265}; });
  EXPECT_ERROR(data, "not UTF-8 at byte 1",
               SpmTokenizer(parts_with(tokens), "m.gguf").encode("a\xFF"));
  EXPECT_ERROR(user, "265 is not a token", SpmTokenizer(parts_with(tokens), "m").piece(265));
}

}  // namespace
}  // namespace weft
