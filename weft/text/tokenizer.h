// Text to token ids and back.
#pragma once
#include <cstdint>
#include <memory>
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
  // "char", "byte": what the file of a tokenizer calls it.
  virtual std::string_view name() const = 0;
  // Ids are 0 <= id < vocab_size().
  virtual int32_t vocab_size() const = 0;
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;
  // The bytes a token stands for; not always whole UTF-8 characters. Error(user) for an id outside
  // the vocabulary.
  virtual std::string_view piece(int32_t id) const = 0;
  // What tokenizer_from_json makes this tokenizer from again.
  virtual Json to_json() const = 0;

  // The pieces one after another. decode(encode(text)) == text.
  std::string decode(std::span<const int32_t> ids) const;
};

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

// {"format": "weft-tokenizer", "version": 1, "name", ...}. Error(data) naming `what`.
std::unique_ptr<Tokenizer> tokenizer_from_json(const Json& json, const std::string& what);
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);
void save_tokenizer(const Tokenizer& tokenizer, const std::string& path,
                    FileSystem& fs = posix_file_system());

}  // namespace weft
