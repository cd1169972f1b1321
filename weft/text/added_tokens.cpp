#include "weft/text/added_tokens.h"

#include <algorithm>

#include "weft/base/error.h"
#include "weft/base/utf8.h"
#include "weft/text/unicode.h"

namespace weft {
namespace {

char32_t first_character(std::string_view text) {
  return decode_utf8(text).code_point;
}
// Where the last character of a text that is not empty starts.
size_t last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (uint8_t(text[at]) & 0xC0) == 0x80) --at;
  return at;
}
bool is_blank(char32_t c) {
  return is_in(white_space, char_kinds()[c]);
}

// Where the white space at the end of `text` begins.
size_t blank_end(std::string_view text) {
  while (!text.empty()) {
    const size_t last = last_character(text);
    if (!is_blank(first_character(text.substr(last)))) break;
    text = text.substr(0, last);
  }
  return text.size();
}
// The bytes of white space that `text` begins with.
size_t blank_begin(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Char c = decode_utf8(text.substr(at));
    if (!is_blank(c.code_point)) break;
    at += c.bytes;
  }
  return at;
}

bool is_single_word(std::string_view text, size_t begin, size_t end) {
  const std::string_view before = text.substr(0, begin), after = text.substr(end);
  return (before.empty() || !is_word_char(first_character(text.substr(last_character(before))))) &&
         (after.empty() || !is_word_char(first_character(after)));
}

}  // namespace

std::vector<AddedToken> with_normalized(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> chosen;
  for (const AddedToken& token : tokens)
    if (token.normalized == normalized) chosen.push_back(token);
  return chosen;
}

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), nodes_(1) {
  for (size_t t = 0; t < tokens_.size(); ++t) {
    const std::string& content = tokens_[t].content;
    WEFT_CHECK(!content.empty(), "token {}", tokens_[t].id);
    starts_[uint8_t(content[0])] = true;
    uint32_t at = 0;
    for (const char byte : content) {
      auto& next = nodes_[at].next;
      const auto place =
          std::ranges::lower_bound(next, uint8_t(byte), {}, &std::pair<uint8_t, uint32_t>::first);
      if (place != next.end() && place->first == uint8_t(byte)) {
        at = place->second;
      } else {
        at = uint32_t(nodes_.size());
        next.insert(place, {uint8_t(byte), at});
        nodes_.emplace_back();
      }
    }
    nodes_[at].token = int32_t(t);
  }
}

const AddedTokenFinder::Node* AddedTokenFinder::step(const Node& node, char byte) const {
  const auto place =
      std::ranges::lower_bound(node.next, uint8_t(byte), {}, &std::pair<uint8_t, uint32_t>::first);
  const bool found = place != node.next.end() && place->first == uint8_t(byte);
  return found ? &nodes_[place->second] : nullptr;
}

int32_t AddedTokenFinder::longest(std::string_view text, size_t at) const {
  int32_t token = -1;
  for (const Node* node = &nodes_[0]; at < text.size(); ++at) {
    node = step(*node, text[at]);
    if (node == nullptr) break;
    if (node->token >= 0) token = node->token;
  }
  return token;
}

std::vector<Section> AddedTokenFinder::split(std::string_view text) const {
  std::vector<Section> sections;
  size_t done = 0;         // everything before is in a section
  size_t blank_until = 0;  // where the white space ends that a token took last
  for (size_t at = 0; at < text.size();) {
    const int32_t found = starts_[uint8_t(text[at])] ? longest(text, at) : -1;
    if (found < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[size_t(found)];
    size_t begin = at, end = at + token.content.size();
    at = end;
    if (token.single_word && !is_single_word(text, begin, end)) continue;
    begin = std::max(begin, done);  // another token may have taken white space
    if (token.lstrip) begin = done + blank_end(text.substr(done, begin - done));
    if (token.rstrip && end >= blank_until) blank_until = end + blank_begin(text.substr(end));
    if (token.rstrip) end = blank_until;
    end = std::max(end, begin);
    if (begin > done) sections.push_back({-1, text.substr(done, begin - done)});
    sections.push_back({token.id, text.substr(begin, end - begin)});
    done = end;
  }
  if (done < text.size()) sections.push_back({-1, text.substr(done)});
  return sections;
}

}  // namespace weft
