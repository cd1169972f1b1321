#include "weft/text/spm.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"
#include "weft/text/unicode.h"

namespace weft {
namespace {

constexpr std::string_view spelled_space = "\u2581";

std::string with_spaces(std::string_view token) {
  std::string text;
  while (!token.empty()) {
    const bool space = token.starts_with(spelled_space);
    text += space ? ' ' : token[0];
    token.remove_prefix(space ? spelled_space.size() : 1);
  }
  return text;
}

// 0x41 of "<0x41>", or -1.
int byte_of(std::string_view token) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const size_t high = digits.find(token[3]), low = digits.find(token[4]);
  return high == digits.npos || low == digits.npos ? -1 : int(high * 16 + low);
}

bool takes_part_in_merges(int64_t type) {
  return type == SpmParts::normal || type == SpmParts::user_defined || type == SpmParts::unused;
}

// The added tokens by their types, where no file names them.
void add_by_type(SpmParts& parts) {
  for (size_t id = 0; id < parts.tokens.size() && parts.file.empty(); ++id)
    if (parts.types[id] == SpmParts::control || parts.types[id] == SpmParts::user_defined)
      parts.added.push_back({.id = int32_t(id),
                             .content = parts.types[id] == SpmParts::control
                                            ? parts.tokens[id]
                                            : with_spaces(parts.tokens[id]),
                             .special = parts.types[id] == SpmParts::control});
}

SpmParts checked(SpmParts parts, const std::string& what) {
  const size_t n = parts.tokens.size();
  const bool scored = parts.file.empty();
  if (n == 0 || n > SpmTokenizer::max_tokens || parts.types.size() != n ||
      parts.scores.size() != (scored ? n : 0))
    data_error("{}: {} tokens, {} scores and {} types; there must be as many of each, at most {}",
               what, n, parts.scores.size(), parts.types.size(), SpmTokenizer::max_tokens);
  for (size_t id = 0; id < n; ++id) {
    const std::string& token = parts.tokens[id];
    if (token.empty() || token.size() > SpmTokenizer::max_token_bytes ||
        find_invalid_utf8(token) != std::string::npos)
      data_error("{}: token {} must be UTF-8 of 1 to {} bytes, got {}", what, id,
                 SpmTokenizer::max_token_bytes, in_quotes(token));
    if (scored && !std::isfinite(parts.scores[id]))
      data_error("{}: the score of token {} is not a number", what, id);
    if (parts.types[id] == SpmParts::byte && byte_of(token) < 0)
      data_error("{}: token {} must be a byte like <0x41>, got {}", what, id, in_quotes(token));
  }
  for (const auto* ids : {&parts.start, &parts.end})
    for (const int32_t id : *ids)
      if (id < 0 || size_t(id) >= n)
        data_error("{}: a token around the text has the id {}, but there are {}", what, id, n);
  add_by_type(parts);
  return parts;
}

std::vector<std::string> pieces_of(const SpmParts& parts) {
  std::vector<std::string> pieces;
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    const std::string& token = parts.tokens[id];
    if (parts.types[id] == SpmParts::byte)
      pieces.emplace_back(1, char(byte_of(token)));
    else
      pieces.push_back(takes_part_in_merges(parts.types[id]) ? with_spaces(token) : token);
  }
  return pieces;
}

std::unordered_map<char32_t, int32_t> characters_of(const SpmParts& parts) {
  std::unordered_map<char32_t, int32_t> characters;
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    const Utf8Char c = decode_utf8(parts.tokens[id]);
    if (takes_part_in_merges(parts.types[id]) && c.bytes == parts.tokens[id].size())
      characters.emplace(c.code_point, int32_t(id));
  }
  return characters;
}

std::array<int32_t, 256> bytes_of(const SpmParts& parts, const std::string& what) {
  std::array<int32_t, 256> ids{};
  ids.fill(-1);
  for (size_t id = 0; id < parts.tokens.size(); ++id)
    if (parts.types[id] == SpmParts::byte) ids[size_t(byte_of(parts.tokens[id]))] = int32_t(id);
  const auto* const missing = std::ranges::find(ids, -1);
  if (missing != ids.end())
    data_error("{}: the byte {:#04x} has no token", what, int(missing - ids.begin()));
  return ids;
}

// Those of the file, or every way to put a token together from two others, where equal scores have
// equal ranks, so that the leftmost pair is merged first.
BpeRules rules_of(const SpmParts& parts, const std::string& what) {
  if (!parts.file.empty()) return BpeRules(parts.rules);
  std::unordered_map<std::string_view, int32_t> ids;
  std::vector<int32_t> by_score;
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    if (!takes_part_in_merges(parts.types[id])) continue;
    if (!ids.emplace(parts.tokens[id], int32_t(id)).second)
      data_error("{}: the token {} appears twice", what, in_quotes(parts.tokens[id]));
    by_score.push_back(int32_t(id));
  }
  std::ranges::stable_sort(by_score, std::greater<>(),
                           [&](int32_t id) { return parts.scores[size_t(id)]; });
  std::vector<BpeRule> rules;
  std::vector<int32_t> ranks;
  for (size_t i = 0, rank = 0; i < by_score.size(); ++i) {
    const std::string_view token = parts.tokens[size_t(by_score[i])];
    if (i > 0 && parts.scores[size_t(by_score[i])] != parts.scores[size_t(by_score[i - 1])])
      rank = i;
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut)), right = ids.find(token.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      rules.push_back({left->second, right->second, by_score[i]});
      ranks.push_back(int32_t(rank));
    }
  }
  return BpeRules(rules, ranks);
}

}  // namespace

SpmTokenizer::SpmTokenizer(SpmParts parts, const std::string& what)
    : parts_(checked(std::move(parts), what)),
      pieces_(pieces_of(parts_)),
      characters_(characters_of(parts_)),
      byte_ids_(bytes_of(parts_, what)),
      rules_(rules_of(parts_, what)),
      in_text_(with_normalized(parts_.added, false)),
      in_normalized_text_([&] {
        std::vector<AddedToken> tokens = with_normalized(parts_.added, true);
        for (AddedToken& token : tokens)
          if (parts_.spaces.before_added) token.content = marked(token.content, true);
        return tokens;
      }()) {
  for (const AddedToken& token : in_normalized_text_.tokens())
    pieces_[size_t(token.id)] = with_spaces(token.content);
}

std::vector<int32_t> SpmTokenizer::encode(std::string_view text) const {
  check_utf8(text);
  std::vector<int32_t> ids;
  for (const Section& section : in_text_.split(text))
    if (section.id >= 0)
      ids.push_back(section.id);
    else
      encode_section(section.text, section.text.data() == text.data(), ids);
  return ids;
}

std::vector<int32_t> SpmTokenizer::encode_plain(std::string_view text) const {
  check_utf8(text);
  std::vector<int32_t> ids;
  if (!text.empty()) encode_marked(marked(text, true), ids);
  return ids;
}

std::string SpmTokenizer::marked(std::string_view text, bool at_start) const {
  using Front = SpmSpaces::Front;
  const Front front = parts_.spaces.front;
  const bool there = text.starts_with(' ') || text.starts_with(spelled_space);
  const bool added = front == Front::every_section || (front == Front::unless_there && !there) ||
                     (front == Front::start_of_text && !there && at_start);
  std::string result(added ? spelled_space : "");
  for (const char c : text)
    if (c == ' ')
      result += spelled_space;
    else
      result += c;
  return result;
}

void SpmTokenizer::encode_section(std::string_view text, bool at_start,
                                  std::vector<int32_t>& ids) const {
  const bool before = parts_.spaces.before_added;
  const std::string normalized = before ? marked(text, at_start) : std::string(text);
  for (const Section& section : in_normalized_text_.split(normalized))
    if (section.id >= 0)
      ids.push_back(section.id);
    else if (before)
      encode_marked(section.text, ids);
    else
      encode_marked(marked(section.text, at_start && section.text.data() == normalized.data()),
                    ids);
}

void SpmTokenizer::encode_marked(std::string_view text, std::vector<int32_t>& ids) const {
  if (!parts_.spaces.cut) return encode_word(text, ids);
  while (!text.empty()) {
    const size_t next = std::min(text.find(spelled_space, 1), text.size());
    encode_word(text.substr(0, next), ids);
    text.remove_prefix(next);
  }
}

void SpmTokenizer::encode_word(std::string_view text, std::vector<int32_t>& ids) const {
  const size_t first = ids.size();
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(at));
    const auto known = characters_.find(c.code_point);
    if (known != characters_.end())
      ids.push_back(known->second);
    else
      for (const char b : text.substr(at, c.bytes)) ids.push_back(byte_ids_[uint8_t(b)]);
    at += c.bytes;
  }
  ids.resize(first + merge_long(rules_, ids.data() + first, ids.size() - first));
}

std::string_view SpmTokenizer::piece(int32_t id) const {
  if (id < 0 || id >= vocab_size())
    user_error("{} is not a token; the tokenizer has 0 to {}", id, vocab_size() - 1);
  return pieces_[size_t(id)];
}

std::optional<int32_t> SpmTokenizer::added_token(std::string_view content) const {
  for (const AddedToken& token : parts_.added)
    if (token.content == content) return token.id;
  return std::nullopt;
}

bool SpmTokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && parts_.types[size_t(id)] == SpmParts::control;
}

Json SpmTokenizer::to_json() const {
  if (!parts_.file.empty()) return parse_json(parts_.file, "tokenizer.json");
  Json json = {{"format", "weft-tokenizer"}, {"version", 1}, {"name", name()}};
  json["tokens"] = parts_.tokens;
  json["scores"] = parts_.scores;
  json["types"] = parts_.types;
  json["start"] = parts_.start;
  json["end"] = parts_.end;
  return json;
}

namespace {

// An array of one kind of value.
template <class T, class Is>
std::vector<T> read_array(const JsonReader& fields, const char* key, const char* expected,
                          Is&& is) {
  std::vector<T> values;
  for (const Json& value : fields.array(key, SpmTokenizer::max_tokens)) {
    if (!is(value)) fields.refuse(key, expected);
    values.push_back(value.get<T>());
  }
  return values;
}

}  // namespace

SpmTokenizer SpmTokenizer::from_fields(const JsonReader& fields, const std::string& what) {
  fields.allow_only({"format", "version", "name", "tokens", "scores", "types", "start", "end"});
  const auto small = [](const Json& v) {
    return v.is_number_integer() && v.get<int64_t>() >= 0 && v.get<int64_t>() < int64_t(max_tokens);
  };
  SpmParts parts;
  parts.tokens = read_array<std::string>(fields, "tokens", "an array of strings",
                                         [](const Json& v) { return v.is_string(); });
  parts.scores = read_array<double>(fields, "scores", "an array of numbers",
                                    [](const Json& v) { return v.is_number(); });
  parts.types = read_array<int64_t>(fields, "types", "an array of types from 1 to 6", small);
  parts.start = read_array<int32_t>(fields, "start", "an array of ids", small);
  parts.end = read_array<int32_t>(fields, "end", "an array of ids", small);
  return SpmTokenizer(std::move(parts), what);
}

}  // namespace weft
