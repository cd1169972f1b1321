#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "weft/text/bpe.h"
#include "weft/text/byte_alphabet.h"

namespace weft {
namespace {

GgufVocabulary vocabulary() {
  GgufVocabulary v;
  v.model = "gpt2", v.pre = "llama-bpe";
  for (int b = 0; b < 256; ++b) v.tokens.push_back(in_alphabet(std::string(1, char(b))));
  for (const char* const token : {"ab", "<s>", "<tool>"}) v.tokens.emplace_back(token);
  v.merges = {"a b"};
  v.types.assign(v.tokens.size(), 1);
  v.types[257] = 3, v.types[258] = 4;
  v.start = 257;
  return v;
}

TEST(GgufVocabulary, IsATokenizer) {
  const auto tokenizer = bpe_from_gguf(vocabulary(), "m.gguf");
  EXPECT_EQ(tokenizer->encode("<s>ab<tool>1234"),
            (std::vector<int32_t>{257, 256, 258, '1', '2', '3', '4'}));
  EXPECT_EQ(tokenizer->start_tokens(), std::vector<int32_t>{257});
  EXPECT_EQ(tokenizer->end_tokens(), std::vector<int32_t>{});
  EXPECT_TRUE(tokenizer->is_special(257));
  EXPECT_FALSE(tokenizer->is_special(258));
}

TEST(GgufVocabulary, EveryNameOfAPreTokenizer) {
  for (const char* const pre :
       {"gpt-2", "llama-bpe", "qwen2", "gpt-4o", "deepseek-v3", "deepseek-coder"}) {
    GgufVocabulary v = vocabulary();
    v.pre = pre;
    EXPECT_EQ(bpe_from_gguf(v, "m.gguf")->encode("ab").size(), 1u) << pre;
  }
}

TEST(GgufVocabulary, Hostile) {
  const auto refused = [](const std::string& sentence, auto&& change) {
    GgufVocabulary v = vocabulary();
    change(v);
    EXPECT_ERROR(data, sentence, bpe_from_gguf(v, "m.gguf"));
  };
  refused("m.gguf: the tokenizer model \"llama\" is not supported",
          [](auto& v) { v.model = "llama"; });
  refused("the pre-tokenizer \"x\" is not supported", [](auto& v) { v.pre = "x"; });
  refused("259 tokens have 7 types", [](auto& v) { v.types.resize(7); });
  refused("merge 0 must be two tokens", [](auto& v) { v.merges = {"ab"}; });
  refused("merge 0 must be two tokens", [](auto& v) { v.merges = {" "}; });
  refused("merge 0 has a space", [](auto& v) { v.merges = {"ab c d"}; });
  refused("needs the token \"ba\"", [](auto& v) { v.merges = {"b a"}; });
  refused("the token \"ab\" has the ids 256 and 7", [](auto& v) { v.tokens[7] = "ab"; });
  refused("must have 1 to 1024 bytes", [](auto& v) { v.tokens[257] = ""; });
  refused("has the id 9999", [](auto& v) { v.start = 9999; });
  refused("no tokens", [](auto& v) { v.tokens.clear(), v.types.clear(), v.merges.clear(); });
}

}  // namespace
}  // namespace weft
