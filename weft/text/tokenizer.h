// Text to token ids and back.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/base/file.h"
#include "weft/base/json_fwd.h"

namespace weft {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // "char", "byte", "bpe".
  virtual std::string_view name() const = 0;
  // Ids are 0 <= id < vocab_size().
  virtual int32_t vocab_size() const = 0;
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;
  // The same for text that must not be taken for anything else: no added token is looked for.
  virtual std::vector<int32_t> encode_plain(std::string_view text) const { return encode(text); }
  // The bytes a token stands for; not always whole UTF-8 characters. Error(user) for an id outside
  // the vocabulary.
  virtual std::string_view piece(int32_t id) const = 0;
  // The id of an added token such as <|endoftext|>, by what it is written as.
  virtual std::optional<int32_t> added_token(std::string_view) const { return std::nullopt; }
  // Whether a token has a meaning for the model and is not part of what a user reads.
  virtual bool is_special(int32_t) const { return false; }
  // What a model wants before and after a text; encode() does not add them.
  virtual std::vector<int32_t> start_tokens() const { return {}; }
  virtual std::vector<int32_t> end_tokens() const { return {}; }
  // The content of a file that tokenizer_from_json makes this tokenizer from again.
  virtual Json to_json() const = 0;

  // The pieces one after another. decode(encode(text)) == text, unless a tokenizer from elsewhere
  // normalizes texts or drops white space.
  std::string decode(std::span<const int32_t> ids) const;
};

// What stands behind every document that a model is trained on: end_tokens(), or else the added
// token that models of the world know by one of the usual names; often nothing.
std::vector<int32_t> document_end(const Tokenizer& tokenizer);

// Text of tokens as they come, in whole characters: what is not UTF-8 becomes U+FFFD. All push()
// results and finish() together are decode() with that replacement. The tokenizer must outlive it.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  // The characters that are whole with this token; often none.
  std::string push(int32_t id);
  // What is left when no more tokens come.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;  // the beginning of one character
};

// {"format": "weft-tokenizer", "version": 1, "name", ...}, or a Hugging Face tokenizer.json
// (text/bpe.h). Error(data) naming `what`.
std::unique_ptr<Tokenizer> tokenizer_from_json(const Json& json, const std::string& what);
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);
void save_tokenizer(const Tokenizer& tokenizer, const std::string& path,
                    FileSystem& fs = posix_file_system());

}  // namespace weft
