// SentencePiece's BPE as Llama 2, Mistral and Gemma have it: a space becomes U+2581, most often a
// text begins with one, characters are merged as long as the result is a token, the one with the
// best score first, and a character without a token becomes its bytes (Kudo and Richardson 2018;
// byte fallback). From a GGUF file, or from a tokenizer.json whose rules say what is merged first;
// those ids agree with Hugging Face's tokenizers library (tools/oracles/tokenizer_ids.py).
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
struct BpeParts;

// When spaces become marks, U+2581, and which sections of a text, cut at added tokens, get one more
// in front.
struct SpmSpaces {
  enum class Front {
    every_section,
    unless_there,   // those that do not begin with one
    start_of_text,  // only there, unless it begins with one
    none
  };
  Front front = Front::every_section;
  bool before_added = true;  // the added tokens with `normalized` are looked for among marks
  bool cut = false;          // no token reaches over the beginning of a word
};

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
  // Of a tokenizer.json, whose text `file` is; scores are empty then. Elsewhere the tokens of the
  // types control and user_defined are the added ones.
  std::vector<BpeRule> rules = {};
  std::vector<AddedToken> added = {};
  SpmSpaces spaces = {};
  std::string file = {};
};

// `common` is what every tokenizer.json says, as BpeTokenizer has it. Error(data) naming `what` and
// the kind of step that Weft does not have.
SpmParts spm_from_json(const Json& json, const std::string& what, BpeParts common);

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
  std::string marked(std::string_view text, bool at_start) const;
  void encode_section(std::string_view text, bool at_start, std::vector<int32_t>& ids) const;
  void encode_marked(std::string_view text, std::vector<int32_t>& ids) const;
  void encode_word(std::string_view text, std::vector<int32_t>& ids) const;

  SpmParts parts_;
  std::vector<std::string> pieces_;                   // by id
  std::unordered_map<char32_t, int32_t> characters_;  // tokens of one character
  std::array<int32_t, 256> byte_ids_;
  BpeRules rules_;
  AddedTokenFinder in_text_, in_normalized_text_;
};

}  // namespace weft
