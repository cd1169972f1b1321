#include "weft/text/bpe.h"

#include <gtest/gtest.h>
#include <random>
#include <thread>

#include "tests/expect_error.h"
#include "tests/mutations.h"
#include "tests/temp_directory.h"
#include "weft/base/json.h"
#include "weft/text/byte_alphabet.h"

namespace weft {
namespace {

using testing::TempDirectory;
using Ids = std::vector<int32_t>;

// Ids 0 to 255 are the bytes, then come `merges`, then the added tokens.
BpeParts parts_with(const std::vector<std::pair<std::string, std::string>>& merges,
                    const std::vector<AddedToken>& added = {}) {
  BpeParts parts;
  for (int b = 0; b < 256; ++b) parts.tokens.push_back(in_alphabet(std::string(1, char(b))));
  std::vector<SpelledRule> rules;
  for (const auto& [left, right] : merges) {
    parts.tokens.push_back(left + right);
    rules.push_back({left, right});
  }
  parts.rules = resolve_rules(rules, parts.tokens, "t.json");
  for (AddedToken token : added) {
    token.id = int32_t(parts.tokens.size());
    parts.tokens.push_back(token.content);
    parts.added.push_back(token);
  }
  parts.splits = {{.pattern = std::string(gpt2_pattern)}};
  return parts;
}

std::unique_ptr<BpeTokenizer> tokenizer_with(
    const std::vector<std::pair<std::string, std::string>>& merges,
    const std::vector<AddedToken>& added = {}) {
  return std::make_unique<BpeTokenizer>(parts_with(merges, added), "t.json");
}

std::string file_of(const Tokenizer& tokenizer) {
  return dump_json(tokenizer.to_json());
}
std::unique_ptr<Tokenizer> parse(const std::string& text) {
  return tokenizer_from_hugging_face(parse_json(text, "t.json"), "t.json");
}

TEST(ByteAlphabet, IsGpt2s) {
  EXPECT_EQ(in_alphabet(" \n\x00"), "\u0120\u010a");  // ends at the NUL
  EXPECT_EQ(in_alphabet(std::string(1, '\0')), "\u0100");
  EXPECT_EQ(in_alphabet("\u00e9"), "\u00c3\u00a9");
  std::string all;
  for (int b = 0; b < 256; ++b) all += char(b);
  EXPECT_EQ(bytes_of_alphabet(in_alphabet(all)), all);
  EXPECT_EQ(bytes_of_alphabet("a b"), std::nullopt);
  EXPECT_EQ(bytes_of_alphabet("\u4e00"), std::nullopt);
  EXPECT_EQ(bytes_of_alphabet("\xc4"), std::nullopt);
}

TEST(Bpe, MergesTheFirstRuleFirstAndTheLeftmostOfEqualOnes) {
  const auto tokenizer = tokenizer_with({{"b", "c"}, {"a", "b"}, {"a", "a"}, {"aa", "a"}});
  EXPECT_EQ(tokenizer->encode("abc"), (Ids{'a', 256}));
  EXPECT_EQ(tokenizer->encode("ab"), Ids{257});
  EXPECT_EQ(tokenizer->encode("aaa"), Ids{259});
  EXPECT_EQ(tokenizer->encode("aaaa"), (Ids{258, 258}));
  EXPECT_EQ(tokenizer->decode(Ids{257, 259}), "abaaa");
  EXPECT_EQ(tokenizer->encode(""), Ids{});
}

// Merges the way the definition says it, one at a time.
Ids merge_slowly(const std::vector<BpeRule>& rules, Ids ids) {
  for (;;) {
    size_t best = ids.size(), best_rank = rules.size();
    for (size_t i = 0; i + 1 < ids.size(); ++i)
      for (size_t r = 0; r < best_rank; ++r)
        if (rules[r].left == ids[i] && rules[r].right == ids[i + 1]) best = i, best_rank = r;
    if (best == ids.size()) return ids;
    ids[best] = rules[best_rank].merged;
    ids.erase(ids.begin() + ptrdiff_t(best) + 1);
  }
}

TEST(Bpe, ShortAndLongMergesEqualTheDefinition) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<BpeRule> rules;  // of symbols 0 to 2 and what they become
    for (int32_t merged = 3; merged < 20; ++merged)
      rules.push_back(
          {int32_t(random() % uint32_t(merged)), int32_t(random() % uint32_t(merged)), merged});
    std::shuffle(rules.begin(), rules.end(), random);
    std::vector<BpeRule> distinct;
    for (const BpeRule& rule : rules)
      if (std::ranges::none_of(distinct, [&](const BpeRule& d) {
            return d.left == rule.left && d.right == rule.right;
          }))
        distinct.push_back(rule);
    Ids ids(random() % 64 + 1);
    for (int32_t& id : ids) id = int32_t(random() % 3);
    const Ids want = merge_slowly(distinct, ids);
    const BpeRules table(distinct);
    Ids brief = ids, list = ids;
    brief.resize(merge_short(table, brief.data(), brief.size()));
    list.resize(merge_long(table, list.data(), list.size()));
    ASSERT_EQ(brief, want) << round;
    ASSERT_EQ(list, want) << round;
  }
}

TEST(Bpe, LongPiecesTakeLittleTime) {
  const auto tokenizer = tokenizer_with({{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}});
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(tokenizer->encode(text), Ids((1 << 20) / 8, 258));
}

// The cache gives what merging gave, and pieces of other lengths do not meet in it.
TEST(Bpe, RepeatedPiecesHaveTheSameIds) {
  const auto tokenizer = tokenizer_with({{"a", "b"}, {"ab", "\u0100"}});
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (size_t n = random() % 30; n > 0; --n) text += std::string_view("ab\0", 3)[random() % 3];
    const auto fresh = tokenizer_with({{"a", "b"}, {"ab", "\u0100"}});
    ASSERT_EQ(tokenizer->encode(text), fresh->encode(text)) << round;
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST(Bpe, ThreadsShareATokenizer) {
  const auto tokenizer = tokenizer_with({{"a", "b"}, {"\u0120", "ab"}});
  const std::string text = "ab ab abc cab 123 ab\n";
  const Ids want = tokenizer->encode(text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) wrong[t] += tokenizer->encode(text) != want;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(Bpe, AddedTokensAreFoundUnlessTextIsPlain) {
  const auto tokenizer =
      tokenizer_with({}, {{.content = "<|end|>", .special = true}, {.content = "<|e"}});
  EXPECT_EQ(tokenizer->encode("a<|end|>b<|e"), (Ids{'a', 256, 'b', 257}));
  EXPECT_EQ(tokenizer->encode_plain("<|e"), (Ids{'<', '|', 'e'}));
  EXPECT_EQ(tokenizer->added_token("<|end|>"), 256);
  EXPECT_EQ(tokenizer->added_token("<|no|>"), std::nullopt);
  EXPECT_TRUE(tokenizer->is_special(256));
  EXPECT_FALSE(tokenizer->is_special(257));
  EXPECT_FALSE(tokenizer->is_special(-1));
  EXPECT_EQ(tokenizer->decode(Ids{256, 'a'}), "<|end|>a");
}

TEST(Bpe, WhitespaceTokensOfAHostileVocabularyAreLinear) {
  const auto tokenizer = tokenizer_with(
      {}, {{.content = " ", .lstrip = true, .rstrip = true}, {.content = "\t", .rstrip = true}});
  const std::string text(1 << 20, ' ');
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text + "\t")).back(), '\t');
}

TEST(Bpe, WrongTextIsRefused) {
  const auto tokenizer = tokenizer_with({});
  EXPECT_ERROR(data, "the text is not UTF-8 at byte 1: \"\\xff\"", tokenizer->encode("a\xFF"));
  EXPECT_ERROR(data, "not UTF-8 at byte 0", tokenizer->encode_plain("\xED\xA0\x80"));
  EXPECT_ERROR(user, "256 is not a token; the tokenizer has 0 to 255", tokenizer->piece(256));
  BpeParts few = parts_with({});
  few.tokens['x'] = "";
  EXPECT_ERROR(user, "no token for the byte 0x78", BpeTokenizer(few, "t.json").encode("x"));
}

TEST(Bpe, StreamsGiveWholeCharacters) {
  const auto tokenizer = tokenizer_with({});
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.push(0xE2), "");
  EXPECT_EQ(decoder.push(0x82), "");
  EXPECT_EQ(decoder.push(0xAC), "\u20ac");
  EXPECT_EQ(decoder.push(0xE2), "");
  EXPECT_EQ(decoder.finish(), "\ufffd");
}

TEST(BpeFile, WhatIsWrittenReadsAsTheSame) {
  BpeParts parts = parts_with({{"a", "b"}, {"\u0120", "ab"}},
                              {{.content = "<s>", .special = true},
                               {.content = "<a b>", .normalized = true, .lstrip = true},
                               {.content = "\u4e00", .single_word = true, .rstrip = true}});
  parts.normal_forms = {NormalForm::nfc};
  parts.splits = {{.pattern = "x|y", .keep_matches = false},
                  {.kind = SplitRule::Kind::literal, .pattern = "\n", .keep_gaps = true},
                  {.kind = SplitRule::Kind::digits, .single_digits = true},
                  {.pattern = "[a-c ]+", .keep_gaps = false}};
  parts.ignore_merges = true;
  parts.start = {258}, parts.end = {258, 259};
  const BpeTokenizer tokenizer(parts, "t.json");
  const TempDirectory dir;
  save_tokenizer(tokenizer, dir / "t.json");
  const auto read = load_tokenizer(dir / "t.json");
  EXPECT_EQ(dump_json(read->to_json()), dump_json(tokenizer.to_json()));
  EXPECT_EQ(read->start_tokens(), Ids{258});
  EXPECT_EQ(read->end_tokens(), (Ids{258, 259}));
  const std::string text = " ab<s>abxaby1 <a b> b\u4e00 ";
  EXPECT_EQ(read->encode(text), tokenizer.encode(text));
}

TEST(BpeFile, PrefixSpaceAndGpt2sPatternAreOneStep) {
  BpeParts parts = parts_with({});
  parts.add_prefix_space = true;
  const BpeTokenizer tokenizer(parts, "t.json");
  EXPECT_EQ(tokenizer.encode("a"), (Ids{' ', 'a'}));
  EXPECT_EQ(tokenizer.encode(" a"), (Ids{' ', 'a'}));
  const Json json = tokenizer.to_json();
  EXPECT_EQ(dump_json(json["pre_tokenizer"]),
            R"({"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true})");
  EXPECT_EQ(parse(dump_json(json))->encode("a"), (Ids{' ', 'a'}));
}

// The smallest file, with `field` put in the place of `name`.
std::string file_with(const std::string& name, const std::string& value) {
  std::vector<std::pair<std::string, std::string>> fields = {
      {"added_tokens", "[]"},
      {"normalizer", "null"},
      {"pre_tokenizer", R"({"type":"ByteLevel","add_prefix_space":false})"},
      {"post_processor", "null"},
      {"decoder", R"({"type":"ByteLevel"})"},
      {"type", R"("BPE")"},
      {"vocab", R"({"a":0,"b":1,"ab":2})"},
      {"merges", R"(["a b"])"}};
  for (auto& [key, old] : fields)
    if (key == name) old = value;
  std::string model, file = "{";
  for (size_t i = 0; i < fields.size(); ++i)
    (i < 5 ? file : model) +=
        format("{}\"{}\":{}", i == 0 || i == 5 ? "" : ",", fields[i].first, fields[i].second);
  return file + ",\"model\":{" + model + "}}";
}

TEST(BpeFile, BothFormsOfMergesAndOldFilesAreRead) {
  EXPECT_EQ(parse(file_with("", ""))->encode("abb"), (Ids{2, 1}));
  EXPECT_EQ(parse(file_with("merges", R"([["a","b"]])"))->encode("abb"), (Ids{2, 1}));
  EXPECT_EQ(parse(file_with("type", "null"))->encode("abb"), (Ids{2, 1}));
  EXPECT_EQ(parse(file_with("decoder", "null"))->decode(Ids{2, 0}), "aba");
  EXPECT_EQ(parse(file_with("vocab", R"({"a":0,"b":5,"ab":9})"))->vocab_size(), 10);
}

TEST(BpeFile, Hostile) {
  const auto refused = [](const char* name, const std::string& value, const std::string& sentence) {
    EXPECT_ERROR(data, sentence, parse(file_with(name, value)));
  };
  EXPECT_ERROR(data, "\"model\" is missing", parse("{}"));
  EXPECT_ERROR(data, "must be a JSON object", parse("[]"));
  refused("type", R"("Unigram")", "the model \"Unigram\" is not supported");
  refused("type", "7", "\"model.type\" must be a string");
  refused("vocab", "[]", "\"model.vocab\" must be an object");
  refused("vocab", "{}", "needs the token");
  refused("vocab", R"({"a":0,"b":0,"ab":1})", "the id 0 is both \"a\" and \"b\"");
  refused("vocab", R"({"a":0,"a":1})", "appears twice");
  refused("vocab", R"({"a":-1})", "must be an integer from 0 to 16777215, got \"-1\"");
  refused("vocab", R"({"a":16777216})", "must be an integer from 0 to 16777215");
  refused("vocab", R"({"a":18446744073709551616})", "does not fit 64 bits");
  refused("vocab", R"({"a":1.5})", "must be an integer");
  refused("vocab", R"({"":0,"a":1,"b":2,"ab":3})", "the token with the id 0 is empty");
  refused("vocab", "{\"" + std::string(5000, 'a') + R"(":0,"a":1,"b":2,"ab":3})",
          "token 0 has 5000 bytes");
  refused("vocab", R"({"\ud800":0})", "is not valid JSON");
  refused("merges", R"(["ab"])", "merge 0 must be two tokens");
  refused("merges", R"(["a b","a b b"])", "merge 1 must be two tokens");
  refused("merges", R"([["a","b","b"]])", "merge 0 must be two tokens");
  refused("merges", R"([["a",1]])", "merge 0 must be two tokens");
  refused("merges", R"([["a",""]])", "needs the token \"\"");
  refused("merges", R"(["a c"])", "needs the token \"c\", which the vocabulary lacks");
  refused("merges", R"(["b a"])", "needs the token \"ba\"");
  refused("merges", "7", "\"model.merges\" must be an array");
  refused("merges", std::string(100, '[') + std::string(100, ']'), "nested deeper than 64 levels");
  refused("added_tokens", R"([{"id":0,"content":"x"}])", "the id 0 is both \"a\" and \"x\"");
  refused("added_tokens", R"([{"id":3,"content":"a"}])", "has the id 0 in the vocabulary and 3");
  refused("added_tokens", R"([{"id":3,"content":"x"},{"id":4,"content":"x"}])", "appears twice");
  refused("added_tokens", R"([{"id":3,"content":""}])", "is empty");
  refused("added_tokens", R"([{"id":-3,"content":"x"}])", "\"added_tokens[0].id\" must be");
  refused("added_tokens", R"([{"id":3}])", "\"added_tokens[0].content\" is missing");
  refused("added_tokens", R"([{"id":3,"content":"x","special":1}])", "must be true or false");
  refused("normalizer", R"({"type":"Lowercase"})", "the normalizer \"Lowercase\" is not supported");
  refused("normalizer", R"({"type":"Sequence","normalizers":[{"type":"NFX"}]})", "\"NFX\"");
  refused("pre_tokenizer", "null", "the pre_tokenizer \"null\" is not supported");
  refused("pre_tokenizer", R"({"type":"Metaspace"})", "\"Metaspace\" is not supported");
  refused("pre_tokenizer", R"({"type":"Digits"})", "\"without ByteLevel\" is not supported");
  refused("pre_tokenizer",
          R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Digits"}]})",
          "ByteLevel is the last");
  refused("pre_tokenizer",
          R"({"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"ByteLevel"}]})",
          "\"pre_tokenizer.pretokenizers[1].add_prefix_space\"");
  const auto split = [](const std::string& pattern, const std::string& behavior) {
    return R"({"type":"Split","pattern":)" + pattern + R"(,"behavior":")" + behavior +
           R"(","invert":false})";
  };
  const auto sequence = [](const std::string& step) {
    return R"({"type":"Sequence","pretokenizers":[)" + step +
           R"(,{"type":"ByteLevel","add_prefix_space":false}]})";
  };
  refused("pre_tokenizer", sequence(split(R"({"Regex":"("})", "Isolated")), "is wrong");
  refused("pre_tokenizer", sequence(split(R"({"String":""})", "Isolated")), "pattern is empty");
  refused("pre_tokenizer", sequence(split(R"({"Regex":"a"})", "Contiguous")), "\"Contiguous\"");
  refused("post_processor", R"({"type":"BertProcessing"})", "\"BertProcessing\" is not supported");
  refused("post_processor", R"({"type":"TemplateProcessing","single":[]})", "one sequence");
  refused("decoder", R"({"type":"Metaspace"})", "the decoder \"Metaspace\" is not supported");
}

std::string small_file() {
  BpeParts parts = parts_with({}, {{.content = "<s>", .special = true}});
  parts.tokens = {"a", "b", "ab", "<s>"}, parts.added[0].id = 3;
  parts.rules = {{0, 1, 2}}, parts.start = {3};
  return file_of(BpeTokenizer(parts, "t.json"));
}

TEST(BpeFile, CutAnywhereIsRefused) {
  testing::for_each_truncation(small_file(), [](Bytes bytes, const std::string& how) {
    EXPECT_FALSE(testing::accepts([&] { parse(std::string(testing::text_of(bytes))); })) << how;
  });
}

// A flipped bit may give another tokenizer, as consistent.
TEST(BpeFile, AnyFlippedBitIsRefusedOrConsistent) {
  const std::string text = small_file();
  testing::for_each_bit_flip(text, text.size(), [](Bytes bytes, const std::string& how) {
    testing::accepts([&] {
      const auto tokenizer = parse(std::string(testing::text_of(bytes)));
      EXPECT_EQ(file_of(*parse(file_of(*tokenizer))), file_of(*tokenizer)) << how;
      tokenizer->encode("ab");
    });
  });
}

}  // namespace
}  // namespace weft
