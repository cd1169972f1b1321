// Byte-level byte-pair encoding, as GPT-2, Llama 3, Qwen, GPT-4o and DeepSeek have it: added tokens
// are taken out of the text, the rest is normalized and cut into pieces, and within each piece
// bytes are merged to tokens. It agrees id by id with Hugging Face's tokenizers library
// (tools/oracles/tokenizer_ids.py).
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/text/added_tokens.h"
#include "weft/text/bpe_merges.h"
#include "weft/text/pre_tokenizer.h"
#include "weft/text/tokenizer.h"
#include "weft/text/unicode.h"

namespace weft {

// What a tokenizer is made of, whatever file it comes from.
struct BpeParts {
  // By id, spelled in the byte alphabet (byte_alphabet.h); one with another character is that text
  // itself. Empty where no token has the id.
  std::vector<std::string> tokens;
  std::vector<BpeRule> rules;     // the first is applied first
  std::vector<AddedToken> added;  // their contents stand in `tokens` too, as they are
  std::vector<NormalForm> normal_forms = {};
  std::vector<SplitRule> splits = {};
  bool add_prefix_space = false;              // a text that does not begin with a space gets one
  bool ignore_merges = false;                 // a piece that is a token as a whole is that token
  std::vector<int32_t> start = {}, end = {};  // what a model wants around a text
};

// "left right" for each rule, in a file's spelling. Error(data) naming `what` and the rule whose
// parts or result are not among the tokens.
struct SpelledRule {
  std::string_view left, right;
};
std::vector<BpeRule> resolve_rules(const std::vector<SpelledRule>& rules,
                                   const std::vector<std::string>& tokens, const std::string& what);

class BpeTokenizer final : public Tokenizer {
 public:
  static constexpr size_t max_token_bytes = 4096, max_added_bytes = 1024;

  // Error(data) naming `what` when the parts do not fit together.
  BpeTokenizer(BpeParts parts, const std::string& what);

  const BpeParts& parts() const { return parts_; }

  std::string_view name() const override { return "bpe"; }
  int32_t vocab_size() const override { return int32_t(parts_.tokens.size()); }
  // Added tokens in the text become their ids. Error(data) for a text that is not UTF-8,
  // Error(user) for a byte without a token. Several threads may call it.
  std::vector<int32_t> encode(std::string_view text) const override;
  // The same without looking for added tokens: for text that must not be taken for anything else.
  std::vector<int32_t> encode_plain(std::string_view text) const override;
  std::string_view piece(int32_t id) const override;
  std::optional<int32_t> added_token(std::string_view content) const override;
  bool is_special(int32_t id) const override;
  std::vector<int32_t> start_tokens() const override { return parts_.start; }
  std::vector<int32_t> end_tokens() const override { return parts_.end; }
  // A Hugging Face tokenizer.json.
  Json to_json() const override;

 private:
  class Lease;

  void encode_text(std::string_view text, PieceEncoder& encoder, std::vector<int32_t>& ids) const;
  void encode_normalized(std::string_view text, PieceEncoder& encoder,
                         std::vector<int32_t>& ids) const;
  void encode_pieces(std::string_view text, PieceEncoder& encoder, std::vector<int32_t>& ids) const;
  std::string normalize(std::string_view text) const;
  bool needs_normalizing(std::string_view text) const;

  BpeParts parts_;
  std::vector<std::string> pieces_;  // bytes by id
  PieceEncoder::Model model_;
  PreTokenizer pre_tokenizer_;
  AddedTokenFinder in_text_, in_normalized_text_;
  std::vector<bool> special_;  // by id
  mutable std::mutex encoders_mutex_;
  mutable std::vector<std::unique_ptr<PieceEncoder>> idle_encoders_;
};

// From the content of a Hugging Face tokenizer.json: a BpeTokenizer, or with byte_fallback an
// SpmTokenizer. Error(data) naming `what`, the field, and the kind of step that Weft does not have.
std::unique_ptr<Tokenizer> tokenizer_from_hugging_face(const Json& json, const std::string& what);

// What a GGUF file says about its tokenizer (io/gguf.h); the keys stand behind.
struct GgufVocabulary {
  std::string model, pre;                   // tokenizer.ggml.model, .pre
  std::vector<std::string> tokens, merges;  // .tokens, .merges
  std::vector<int64_t> types;               // .token_type; may be missing
  std::optional<int32_t> start, end;        // .bos_token_id and .eos_token_id, if they are added
};
// Error(data) naming `what` for another model than gpt2 and a `pre` that Weft does not have.
std::unique_ptr<BpeTokenizer> bpe_from_gguf(GgufVocabulary vocabulary, const std::string& what);

}  // namespace weft
