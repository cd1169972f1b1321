#include "weft/text/char_tokenizer.h"

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

// Calls use(code point, offset) for each character.
template <class F>
void for_each_character(std::string_view text, F&& use) {
  for (size_t at = 0; at < text.size();) {
    if (const uint8_t byte = uint8_t(text[at]); byte < 0x80) {  // ASCII, the common case
      use(char32_t(byte), at++);
      continue;
    }
    const Utf8Char c = decode_utf8(text.substr(at));
    if (c.state != Utf8Char::State::whole)
      data_error("the text is not UTF-8 at byte {}: {}; convert it first", at,
                 in_quotes(text.substr(at, c.bytes)));
    use(c.code_point, at);
    at += c.bytes;
  }
}

}  // namespace

CharTokenizer::CharTokenizer(const std::vector<char32_t>& characters)
    : ids_(characters.back() + 1, -1) {
  for (const char32_t c : characters) {
    ids_[c] = int32_t(pieces_.size());
    append_utf8(pieces_.emplace_back(), c);
  }
}

CharTokenizer CharTokenizer::from_text(std::string_view text) {
  if (text.empty()) data_error("a character tokenizer needs text to learn from, got none");
  std::vector<bool> occurs(max_code_point + 1);
  for_each_character(text, [&](char32_t c, size_t) { occurs[c] = true; });
  std::vector<char32_t> characters;
  for (char32_t c = 0; c <= max_code_point; ++c)
    if (occurs[c]) characters.push_back(c);
  return CharTokenizer(characters);
}

CharTokenizer CharTokenizer::from_fields(const JsonReader& fields) {
  fields.allow_only({"format", "version", "name", "characters"});
  const std::string& text = fields.string("characters", 4 * size_t(max_code_point));
  std::vector<char32_t> characters;
  for_each_character(text, [&](char32_t c, size_t) {
    if (!characters.empty() && c <= characters.back())
      fields.refuse("characters", "distinct characters in ascending order of code point");
    characters.push_back(c);
  });
  if (characters.empty()) fields.refuse("characters", "at least one character");
  return CharTokenizer(characters);
}

std::vector<int32_t> CharTokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids(text.size());
  size_t count = 0;
  for_each_character(text, [&](char32_t c, size_t at) {
    const int32_t id = c < ids_.size() ? ids_[c] : -1;
    if (id < 0)
      user_error(
          "the character {} (U+{:04X}) at byte {} is not among the {} the tokenizer knows; remove "
          "it or train "
          "the tokenizer on text that has it",
          in_quotes(text.substr(at, decode_utf8(text.substr(at)).bytes)), uint32_t(c), at,
          pieces_.size());
    ids[count++] = id;
  });
  ids.resize(count);
  return ids;
}

std::string_view CharTokenizer::piece(int32_t id) const {
  if (id < 0 || id >= vocab_size())
    user_error("{} is not a token; the tokenizer has 0 to {}", id, vocab_size() - 1);
  return pieces_[size_t(id)];
}

Json CharTokenizer::to_json() const {
  std::string characters;
  for (const std::string& piece : pieces_) characters += piece;
  return {
      {"format", "weft-tokenizer"}, {"version", 1}, {"name", name()}, {"characters", characters}};
}

}  // namespace weft
