#include "weft/text/spm.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

constexpr char32_t space_mark = 0x2581;
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

SpmParts checked(SpmParts parts, const std::string& what) {
  const size_t n = parts.tokens.size();
  if (n == 0 || n > SpmTokenizer::max_tokens || parts.scores.size() != n || parts.types.size() != n)
    data_error("{}: {} tokens, {} scores and {} types; there must be as many of each, at most {}",
               what, n, parts.scores.size(), parts.types.size(), SpmTokenizer::max_tokens);
  for (size_t id = 0; id < n; ++id) {
    const std::string& token = parts.tokens[id];
    if (token.empty() || token.size() > SpmTokenizer::max_token_bytes ||
        find_invalid_utf8(token) != std::string::npos)
      data_error("{}: token {} must be UTF-8 of 1 to {} bytes, got {}", what, id,
                 SpmTokenizer::max_token_bytes, in_quotes(token));
    if (!std::isfinite(parts.scores[id]))
      data_error("{}: the score of token {} is not a number", what, id);
    if (parts.types[id] == SpmParts::byte && byte_of(token) < 0)
      data_error("{}: token {} must be a byte like <0x41>, got {}", what, id, in_quotes(token));
  }
  for (const auto* ids : {&parts.start, &parts.end})
    for (const int32_t id : *ids)
      if (id < 0 || size_t(id) >= n)
        data_error("{}: a token around the text has the id {}, but there are {}", what, id, n);
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

// Every way to put a token together from two others; equal scores have equal ranks, so that the
// leftmost pair is merged first.
BpeRules rules_of(const SpmParts& parts, const std::string& what) {
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

std::vector<AddedToken> added_of(const SpmParts& parts) {
  std::vector<AddedToken> added;
  for (size_t id = 0; id < parts.tokens.size(); ++id)
    if (parts.types[id] == SpmParts::control || parts.types[id] == SpmParts::user_defined)
      added.push_back({.id = int32_t(id),
                       .content = parts.types[id] == SpmParts::control
                                      ? parts.tokens[id]
                                      : with_spaces(parts.tokens[id]),
                       .special = parts.types[id] == SpmParts::control});
  return added;
}

void check_utf8(std::string_view text) {
  if (const size_t bad = find_invalid_utf8(text); bad != text.npos)
    data_error("the text is not UTF-8 at byte {}: {}; convert it first", bad,
               in_quotes(text.substr(bad, 4)));
}

}  // namespace

SpmTokenizer::SpmTokenizer(SpmParts parts, const std::string& what)
    : parts_(checked(std::move(parts), what)),
      pieces_(pieces_of(parts_)),
      characters_(characters_of(parts_)),
      byte_ids_(bytes_of(parts_, what)),
      rules_(rules_of(parts_, what)),
      added_(added_of(parts_)) {}

std::vector<int32_t> SpmTokenizer::encode(std::string_view text) const {
  check_utf8(text);
  std::vector<int32_t> ids;
  for (const Section& section : added_.split(text))
    if (section.id >= 0)
      ids.push_back(section.id);
    else
      encode_part(section.text, ids);
  return ids;
}

std::vector<int32_t> SpmTokenizer::encode_plain(std::string_view text) const {
  check_utf8(text);
  std::vector<int32_t> ids;
  if (!text.empty()) encode_part(text, ids);
  return ids;
}

// A character without a token is -2 - code point until its bytes are known to be needed.
void SpmTokenizer::encode_part(std::string_view text, std::vector<int32_t>& ids) const {
  std::vector<int32_t> symbols;
  const auto add = [&](char32_t c) {
    const auto known = characters_.find(c);
    symbols.push_back(known != characters_.end() ? known->second : -2 - int32_t(c));
  };
  add(space_mark);
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(at));
    add(c.code_point == ' ' ? space_mark : c.code_point);
    at += c.bytes;
  }
  symbols.resize(merge_long(rules_, symbols.data(), symbols.size()));
  for (const int32_t symbol : symbols) {
    if (symbol >= 0) {
      ids.push_back(symbol);
      continue;
    }
    std::string bytes;
    append_utf8(bytes, char32_t(-2 - symbol));
    for (const char b : bytes) ids.push_back(byte_ids_[uint8_t(b)]);
  }
}

std::string_view SpmTokenizer::piece(int32_t id) const {
  if (id < 0 || id >= vocab_size())
    user_error("{} is not a token; the tokenizer has 0 to {}", id, vocab_size() - 1);
  return pieces_[size_t(id)];
}

std::optional<int32_t> SpmTokenizer::added_token(std::string_view content) const {
  for (const AddedToken& token : added_.tokens())
    if (token.content == content) return token.id;
  return std::nullopt;
}

bool SpmTokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && parts_.types[size_t(id)] == SpmParts::control;
}

Json SpmTokenizer::to_json() const {
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
