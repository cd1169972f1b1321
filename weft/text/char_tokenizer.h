// One token for each Unicode character of a corpus. Ids are indices into the characters sorted by
// code point, as in nanoGPT's prepare.py for characters (sorted(set(text))).
#pragma once
#include <string>
#include <vector>

#include "weft/text/tokenizer.h"

namespace weft {

class JsonReader;

class CharTokenizer final : public Tokenizer {
 public:
  // The characters that occur in `text`. Error(data) with the offset where it is not UTF-8, and
  // when it is empty.
  static CharTokenizer from_text(std::string_view text);
  // The field "characters": a string of distinct characters in ascending order.
  static CharTokenizer from_fields(const JsonReader& fields);

  std::string_view name() const override { return "char"; }
  int32_t vocab_size() const override { return int32_t(pieces_.size()); }
  // Error(user) naming the character and its offset if it is not in the vocabulary, Error(data) if
  // it is not UTF-8.
  std::vector<int32_t> encode(std::string_view text) const override;
  std::string_view piece(int32_t id) const override;
  Json to_json() const override;

 private:
  // Distinct, ascending.
  explicit CharTokenizer(const std::vector<char32_t>& characters);

  std::vector<std::string> pieces_;  // id -> UTF-8
  std::vector<int32_t> ids_;         // code point -> id, or -1; up to the largest character
};

}  // namespace weft
