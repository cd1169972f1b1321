// Tokenizers by the words of a command line: made from a text, or read from a file.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "weft/text/tokenizer.h"

namespace weft::train {

constexpr int64_t default_vocab_size = 4096;

// kind: "char", "byte", "bpe" (learned from `train` alone, with <|endoftext|> as id 0), or the path
// of a file. `vocab_size` is for bpe; `threads` is for learning it, 0: one a processor. Error(user)
// for another word.
std::unique_ptr<Tokenizer> make_tokenizer(const std::string& kind, int64_t vocab_size,
                                          std::span<const std::string_view> train,
                                          std::span<const std::string_view> val, int threads = 0);
inline std::unique_ptr<Tokenizer> make_tokenizer(const std::string& kind, int64_t vocab_size,
                                                 std::string_view train, std::string_view val,
                                                 int threads = 0) {
  return make_tokenizer(kind, vocab_size, {&train, 1}, {&val, 1}, threads);
}

// A tokenizer.json of Weft or Hugging Face, or the vocabulary of a GGUF file (*.gguf).
std::unique_ptr<Tokenizer> read_tokenizer(const std::string& path);

}  // namespace weft::train
