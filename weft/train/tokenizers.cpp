#include "weft/train/tokenizers.h"

#include <algorithm>
#include <thread>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/utf8.h"
#include "weft/io/gguf.h"
#include "weft/text/bpe_train.h"
#include "weft/text/byte_tokenizer.h"
#include "weft/text/char_tokenizer.h"
#include "weft/text/spm.h"

namespace weft::train {
namespace {

std::string key(const char* name) {
  return std::string("tokenizer.ggml.") + name;
}

std::unique_ptr<Tokenizer> spm_from_gguf(const GgufMetadata& metadata, const std::string& path) {
  SpmParts parts{metadata.strings(key("tokens")), metadata.reals(key("scores")),
                 metadata.integers(key("token_type"))};
  if (metadata.boolean_or(key("add_bos_token"), true))
    parts.start = {int32_t(metadata.integer(key("bos_token_id"), 0, INT32_MAX))};
  if (metadata.boolean_or(key("add_eos_token"), false))
    parts.end = {int32_t(metadata.integer(key("eos_token_id"), 0, INT32_MAX))};
  return std::make_unique<SpmTokenizer>(std::move(parts), path);
}

std::unique_ptr<Tokenizer> read_gguf_tokenizer(const std::string& path) {
  const GgufMetadata metadata = read_gguf_metadata(path);
  if (metadata.string(key("model")) == "llama") return spm_from_gguf(metadata, path);
  GgufVocabulary vocabulary;
  vocabulary.model = metadata.string(key("model"));
  vocabulary.tokens = metadata.strings(key("tokens"));
  if (metadata.has(key("pre"))) vocabulary.pre = metadata.string(key("pre"));
  if (metadata.has(key("merges"))) vocabulary.merges = metadata.strings(key("merges"));
  if (metadata.has(key("token_type"))) vocabulary.types = metadata.integers(key("token_type"));
  if (metadata.boolean_or(key("add_bos_token"), false))
    vocabulary.start = int32_t(metadata.integer(key("bos_token_id"), 0, INT32_MAX));
  if (metadata.boolean_or(key("add_eos_token"), false))
    vocabulary.end = int32_t(metadata.integer(key("eos_token_id"), 0, INT32_MAX));
  return bpe_from_gguf(std::move(vocabulary), path);
}

}  // namespace

std::unique_ptr<Tokenizer> read_tokenizer(const std::string& path) {
  return path.ends_with(".gguf") ? read_gguf_tokenizer(path) : load_tokenizer(path);
}

std::unique_ptr<Tokenizer> make_tokenizer(const std::string& kind, int64_t vocab_size,
                                          std::span<const std::string_view> train,
                                          std::span<const std::string_view> val, int threads) {
  if (kind == "byte") return std::make_unique<ByteTokenizer>();
  if (kind == "char") {
    std::string all;
    for (const auto split : {train, val})
      for (const std::string_view document : split) all += document;
    return std::make_unique<CharTokenizer>(CharTokenizer::from_text(all));
  }
  if (kind == "bpe") {
    const unsigned processors = std::max(std::thread::hardware_concurrency(), 1u);
    ThreadPool pool(threads > 0 ? threads : int(processors));
    return train_bpe(train, {.vocab_size = vocab_size}, pool);
  }
  if (!path_exists(kind))
    user_error("the tokenizer must be char, byte, bpe or the path of a tokenizer.json, got {}",
               in_quotes(kind));
  return read_tokenizer(kind);
}

}  // namespace weft::train
