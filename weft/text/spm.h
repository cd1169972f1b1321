// SentencePiece's BPE as Llama 2 and Mistral have it: a space becomes U+2581, every text begins
// with one, characters are merged as long as the result is a token, the one with the best score
// first, and a character without a token becomes its bytes (Kudo and Richardson 2018; byte
// fallback).
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weft/text/added_tokens.h"
#include "weft/text/bpe_merges.h"
#include "weft/text/tokenizer.h"

namespace weft {

class JsonReader;

struct SpmParts {
  enum Type : int64_t {
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6
  };
  std::vector<std::string> tokens;  // with U+2581 for spaces; bytes as <0x00>
  std::vector<double> scores;
  std::vector<int64_t> types;  // of SentencePiece's model
  std::vector<int32_t> start = {}, end = {};
};

class SpmTokenizer final : public Tokenizer {
 public:
  static constexpr size_t max_tokens = size_t(1) << 20, max_token_bytes = 256;

  // Error(data) naming `what` when the parts do not fit together or a byte has no token.
  SpmTokenizer(SpmParts parts, const std::string& what);
  // The fields "tokens", "scores", "types", "start", "end".
  static SpmTokenizer from_fields(const JsonReader& fields, const std::string& what);

  std::string_view name() const override { return "spm"; }
  int32_t vocab_size() const override { return int32_t(parts_.tokens.size()); }
  // Error(data) for a text that is not UTF-8. decode() gives the first space back.
  std::vector<int32_t> encode(std::string_view text) const override;
  std::vector<int32_t> encode_plain(std::string_view text) const override;
  std::string_view piece(int32_t id) const override;
  std::optional<int32_t> added_token(std::string_view content) const override;
  bool is_special(int32_t id) const override;
  std::vector<int32_t> start_tokens() const override { return parts_.start; }
  std::vector<int32_t> end_tokens() const override { return parts_.end; }
  Json to_json() const override;

 private:
  void encode_part(std::string_view text, std::vector<int32_t>& ids) const;

  SpmParts parts_;
  std::vector<std::string> pieces_;                   // by id
  std::unordered_map<char32_t, int32_t> characters_;  // tokens of one character
  std::array<int32_t, 256> byte_ids_;
  BpeRules rules_;
  AddedTokenFinder added_;
};

}  // namespace weft
