#include "weft/text/bpe.h"

#include <algorithm>
#include <unordered_map>

#include "weft/base/error.h"
#include "weft/base/utf8.h"
#include "weft/text/byte_alphabet.h"

namespace weft {
namespace {

// Bytes by id, and what the encoder needs of them.
std::vector<std::string> pieces_of(const BpeParts& parts) {
  std::vector<std::string> pieces;
  pieces.reserve(parts.tokens.size());
  for (const std::string& token : parts.tokens)
    pieces.push_back(bytes_of_alphabet(token).value_or(token));
  for (const AddedToken& token : parts.added) pieces[size_t(token.id)] = token.content;
  return pieces;
}

PieceEncoder::Model model_of(const BpeParts& parts) {
  PieceEncoder::Model model{BpeRules(parts.rules), {}, parts.ignore_merges, {}};
  model.byte_ids.fill(-1);
  std::vector<bool> added(parts.tokens.size());
  for (const AddedToken& token : parts.added) added[size_t(token.id)] = true;
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    const auto bytes = bytes_of_alphabet(parts.tokens[id]);
    if (!bytes || bytes->empty()) continue;
    if (bytes->size() == 1) model.byte_ids[uint8_t((*bytes)[0])] = int32_t(id);
    if (parts.ignore_merges && !added[id]) model.whole.emplace(*bytes, int32_t(id));
  }
  return model;
}

void check_parts(const BpeParts& parts, const std::string& what) {
  const size_t n = parts.tokens.size();
  if (n == 0) data_error("{}: the vocabulary has no tokens", what);
  for (size_t id = 0; id < n; ++id)
    if (parts.tokens[id].size() > BpeTokenizer::max_token_bytes)
      data_error("{}: token {} has {} bytes, at most {} are allowed", what, id,
                 parts.tokens[id].size(), BpeTokenizer::max_token_bytes);
  const auto check_id = [&](int32_t id, const char* whose) {
    if (id < 0 || size_t(id) >= n)
      data_error("{}: {} has the id {}, but the vocabulary has {} tokens", what, whose, id, n);
  };
  for (const AddedToken& token : parts.added) {
    check_id(token.id, "an added token");
    if (token.content.empty() || token.content.size() > BpeTokenizer::max_added_bytes)
      data_error("{}: the added token {} must have 1 to {} bytes, got {}", what, token.id,
                 BpeTokenizer::max_added_bytes, token.content.size());
  }
  for (const auto* ids : {&parts.start, &parts.end})
    for (const int32_t id : *ids) check_id(id, "a token around the text");
}

BpeParts checked(BpeParts parts, const std::string& what) {
  check_parts(parts, what);
  return parts;
}

}  // namespace

std::vector<BpeRule> resolve_rules(const std::vector<SpelledRule>& rules,
                                   const std::vector<std::string>& tokens,
                                   const std::string& what) {
  std::unordered_map<std::string_view, int32_t> ids;
  ids.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].empty()) continue;
    const auto [entry, is_new] = ids.emplace(tokens[id], int32_t(id));
    if (!is_new)
      data_error("{}: the token {} has the ids {} and {}", what, in_quotes(tokens[id]), id,
                 entry->second);
  }
  std::vector<BpeRule> resolved;
  resolved.reserve(rules.size());
  std::string merged;
  for (const SpelledRule& rule : rules) {
    const auto id_of = [&](std::string_view token) {
      const auto found = ids.find(token);
      if (found == ids.end())
        data_error("{}: merge {} ({} and {}) needs the token {}, which the vocabulary lacks", what,
                   resolved.size(), in_quotes(rule.left), in_quotes(rule.right), in_quotes(token));
      return found->second;
    };
    merged.assign(rule.left) += rule.right;
    if (merged.find(' ') != merged.npos)
      data_error("{}: merge {} has a space, which no token of the file may have: {}", what,
                 resolved.size(), in_quotes(merged));
    const int32_t left = id_of(rule.left), right = id_of(rule.right);
    resolved.push_back({left, right, id_of(merged)});
  }
  return resolved;
}

BpeTokenizer::BpeTokenizer(BpeParts parts, const std::string& what)
    : parts_(checked(std::move(parts), what)),
      pieces_(pieces_of(parts_)),
      model_(model_of(parts_)),
      pre_tokenizer_(parts_.splits, what),
      in_text_(with_normalized(parts_.added, false)),
      in_normalized_text_([&] {
        std::vector<AddedToken> tokens = with_normalized(parts_.added, true);
        for (AddedToken& token : tokens) token.content = normalize(token.content);
        return tokens;
      }()),
      special_(parts_.tokens.size()) {
  for (const AddedToken& token : parts_.added) special_[size_t(token.id)] = token.special;
  for (const AddedToken& token : in_normalized_text_.tokens())
    pieces_[size_t(token.id)] = token.content;
}

// An encoder from the idle ones, or a new one, for as long as a call needs it.
class BpeTokenizer::Lease {
 public:
  explicit Lease(const BpeTokenizer& tokenizer) : tokenizer_(tokenizer) {
    {
      const std::lock_guard lock(tokenizer_.encoders_mutex_);
      auto& idle = tokenizer_.idle_encoders_;
      if (!idle.empty()) encoder_ = std::move(idle.back()), idle.pop_back();
    }
    if (!encoder_) encoder_ = std::make_unique<PieceEncoder>(tokenizer_.model_);
  }
  ~Lease() {
    const std::lock_guard lock(tokenizer_.encoders_mutex_);
    tokenizer_.idle_encoders_.push_back(std::move(encoder_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  PieceEncoder& encoder() { return *encoder_; }

 private:
  const BpeTokenizer& tokenizer_;
  std::unique_ptr<PieceEncoder> encoder_;
};

std::vector<int32_t> BpeTokenizer::encode(std::string_view text) const {
  check_utf8(text);
  Lease lease(*this);
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 16);
  if (in_text_.empty()) {
    encode_text(text, lease.encoder(), ids);
    return ids;
  }
  for (const Section& section : in_text_.split(text))
    if (section.id >= 0)
      ids.push_back(section.id);
    else
      encode_text(section.text, lease.encoder(), ids);
  return ids;
}

std::vector<int32_t> BpeTokenizer::encode_plain(std::string_view text) const {
  check_utf8(text);
  Lease lease(*this);
  std::vector<int32_t> ids;
  encode_pieces(needs_normalizing(text) ? normalize(text) : std::string(text), lease.encoder(),
                ids);
  return ids;
}

bool BpeTokenizer::needs_normalizing(std::string_view text) const {
  if (parts_.normal_forms.empty()) return false;
  // Below U+0300 every text is in NFC, and ASCII is in all forms.
  const bool nfc =
      std::ranges::all_of(parts_.normal_forms, [](NormalForm f) { return f == NormalForm::nfc; });
  const uint8_t limit = nfc ? 0xCC : 0x80;
  return std::ranges::any_of(text, [&](char c) { return uint8_t(c) >= limit; });
}

std::string BpeTokenizer::normalize(std::string_view text) const {
  std::string result(text);
  for (const NormalForm form : parts_.normal_forms) result = normalized(result, form);
  return result;
}

void BpeTokenizer::encode_text(std::string_view text, PieceEncoder& encoder,
                               std::vector<int32_t>& ids) const {
  if (needs_normalizing(text))
    encode_normalized(normalize(text), encoder, ids);
  else
    encode_normalized(text, encoder, ids);
}

void BpeTokenizer::encode_normalized(std::string_view text, PieceEncoder& encoder,
                                     std::vector<int32_t>& ids) const {
  if (in_normalized_text_.empty()) return encode_pieces(text, encoder, ids);
  for (const Section& section : in_normalized_text_.split(text))
    if (section.id >= 0)
      ids.push_back(section.id);
    else
      encode_pieces(section.text, encoder, ids);
}

void BpeTokenizer::encode_pieces(std::string_view text, PieceEncoder& encoder,
                                 std::vector<int32_t>& ids) const {
  std::string spaced;
  if (parts_.add_prefix_space && !text.empty() && text[0] != ' ')
    text = (spaced = " ").append(text);
  const char* const readable_end = text.data() + text.size();
  pre_tokenizer_.for_each_piece(
      text, [&](std::string_view piece) { encoder.encode(piece, readable_end, ids); });
}

std::string_view BpeTokenizer::piece(int32_t id) const {
  if (id < 0 || id >= vocab_size())
    user_error("{} is not a token; the tokenizer has 0 to {}", id, vocab_size() - 1);
  return pieces_[size_t(id)];
}

std::optional<int32_t> BpeTokenizer::added_token(std::string_view content) const {
  for (const AddedToken& token : parts_.added)
    if (token.content == content) return token.id;
  return std::nullopt;
}

bool BpeTokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && special_[size_t(id)];
}

}  // namespace weft
