#include "weft/text/bpe_train.h"

#include <gtest/gtest.h>
#include <random>

#include "tests/expect_error.h"
#include "weft/base/file.h"
#include "weft/base/json.h"

namespace weft {
namespace {

std::unique_ptr<BpeTokenizer> train(std::string_view text, const BpeTraining& options,
                                    int threads = 1) {
  ThreadPool pool(threads);
  return train_bpe({&text, 1}, options, pool);
}

// Words of random letters, several blocks of them.
std::string random_text(size_t bytes) {
  std::mt19937 random(11);
  std::string text;
  while (text.size() < bytes) {
    for (size_t n = random() % 6 + 1; n > 0; --n) text += char('a' + random() % 8 * random() % 26);
    text += random() % 20 == 0 ? "\n" : " ";
  }
  return text;
}

TEST(BpeTraining, TakesTheMostFrequentPairAndOfEqualOnesTheSmaller) {
  // ab 3 times; then all others twice, and c < \u0120 < ab.
  const auto tokenizer = train("ababab cd cd", {.vocab_size = 260, .special = {}});
  const BpeParts& parts = tokenizer->parts();
  EXPECT_EQ(parts.tokens[256], "ab");
  EXPECT_EQ(parts.tokens[257], "cd");
  EXPECT_EQ(parts.tokens[258], "\u0120cd");
  EXPECT_EQ(parts.tokens[259], "abab");
  EXPECT_EQ(tokenizer->encode("abab cd"), (std::vector<int32_t>{259, 258}));
}

TEST(BpeTraining, SpecialTokensAreFirstAndTeachNothing) {
  const auto tokenizer = train("<|x|>ab<|x|>ab", {.vocab_size = 258, .special = {"<|x|>"}});
  EXPECT_EQ(tokenizer->added_token("<|x|>"), 0);
  EXPECT_TRUE(tokenizer->is_special(0));
  EXPECT_EQ(tokenizer->parts().tokens[257], "ab");
  EXPECT_EQ(tokenizer->encode("<|x|>ab"), (std::vector<int32_t>{0, 257}));
}

TEST(BpeTraining, IsTheSameOnAnyNumberOfThreads) {
  const std::string text = random_text(5 << 19);
  const std::string one = dump_json(train(text, {.vocab_size = 600})->to_json());
  EXPECT_EQ(dump_json(train(text, {.vocab_size = 600}, 3)->to_json()), one);
}

TEST(BpeTraining, WhatIsLearnedDecodesToTheText) {
  const std::string text = random_text(20000) + "\u4e16\u754c 123\r\n";
  const auto tokenizer = train(text, {.vocab_size = 500});
  const auto ids = tokenizer->encode(text);
  EXPECT_EQ(tokenizer->decode(ids), text);
  EXPECT_LT(ids.size(), text.size() * 2 / 3);
}

// Made by tools/oracles/tokenizer_ids.py with Hugging Face's BpeTrainer on the same text.
TEST(BpeTraining, LearnsWhatTheTokenizersLibraryLearns) {
  const std::string folder = "tests/fixtures/tokenizers/";
  const std::string text = read_file(folder + "train.txt", 1 << 20);
  const auto want = load_tokenizer(folder + "trained.json");
  const auto got = train(text, {.vocab_size = want->vocab_size()});
  EXPECT_EQ(dump_json(got->to_json()["model"]), dump_json(want->to_json()["model"]));
}

TEST(BpeTraining, LongPiecesTakeLittleTime) {
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(train(text, {.vocab_size = 264})->parts().tokens[264 - 1], std::string(128, 'a'));
}

TEST(BpeTraining, WhatCannotBeIsRefused) {
  EXPECT_ERROR(user, "the vocabulary must have 257 to 1048576 tokens, got 256",
               train("abc", {.vocab_size = 256}));
  EXPECT_ERROR(user, "must have 257 to 1048576 tokens, got 1048577",
               train("abc", {.vocab_size = 1048577}));
  EXPECT_ERROR(user,
               "allows a vocabulary of at most 259 tokens, because no other pair occurs twice, but "
               "1000 are wanted",
               train("abc abc", {.vocab_size = 1000, .splits = {{.pattern = "[a-c]+"}}}));
  EXPECT_ERROR(data, "the text is not UTF-8 at byte 1", train("a\xFF", {.vocab_size = 257}));
  EXPECT_ERROR(user, "at most 257 tokens", train("", {.vocab_size = 300}));
}

}  // namespace
}  // namespace weft
