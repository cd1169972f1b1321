// The pre-tokenizers' patterns by hand: each alternative in its order, greedy, with the
// backtracking that can matter. pre_tokenizer_test.cpp holds them against PCRE2.
#include "weft/text/pre_tokenizer.h"
#include "weft/text/unicode.h"

namespace weft {

const std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view llama3_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view qwen2_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view o200k_pattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view deepseek3_patterns[3] = {
    R"(\p{N}{1,3})", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
const std::string_view deepseek_coder_patterns[4] = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                                     "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"};

namespace {

using enum CharKind;

constexpr KindSet all = ~KindSet(0);
constexpr KindSet no_mark = all & ~(white_space | letters | numbers);  // [^\s\p{L}\p{N}]
constexpr KindSet may_lead = all & ~(set_of(newline) | letters | numbers);
constexpr KindSet upper_like = set_of(upper, title, modifier, other_letter, mark);
constexpr KindSet lower_like = set_of(lower, modifier, other_letter, mark);

// A view of UTF-8 that was checked: characters by the byte they start at. Past the end there is
// nothing of any kind.
class Text {
 public:
  explicit Text(std::string_view text)
      : bytes_(reinterpret_cast<const uint8_t*>(text.data())), size_(text.size()) {}

  size_t size() const { return size_; }
  bool has(size_t at, char c) const { return at < size_ && bytes_[at] == uint8_t(c); }
  bool is(size_t at, KindSet set) const { return at < size_ && is_in(set, kind(at)); }
  CharKind kind(size_t at) const { return kinds_[code_point(at)]; }

  // The character after the one at `at`.
  size_t after(size_t at) const {
    const uint8_t first = bytes_[at];
    return at + (first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4);
  }
  size_t before(size_t at) const {
    do --at;
    while ((bytes_[at] & 0xC0) == 0x80);
    return at;
  }
  // The end of the run of such characters from `at`.
  size_t run(size_t at, KindSet set) const {
    while (is(at, set)) at = after(at);
    return at;
  }
  size_t run(size_t at, KindSet set, int most) const {
    while (most-- > 0 && is(at, set)) at = after(at);
    return at;
  }

  char32_t code_point(size_t at) const {
    const uint8_t* b = bytes_ + at;
    if (b[0] < 0x80) return b[0];
    if (b[0] < 0xE0) return char32_t(b[0] & 0x1F) << 6 | (b[1] & 0x3F);
    if (b[0] < 0xF0)
      return char32_t(b[0] & 0x0F) << 12 | char32_t(b[1] & 0x3F) << 6 | (b[2] & 0x3F);
    return char32_t(b[0] & 0x07) << 18 | char32_t(b[1] & 0x3F) << 12 | char32_t(b[2] & 0x3F) << 6 |
           (b[3] & 0x3F);
  }

 private:
  const uint8_t* bytes_;
  size_t size_;
  const CharKind* kinds_ = char_kinds();
};

// 's|'t|'re|'ve|'m|'ll|'d at `at`, or `at` when there is none.
template <bool any_case>
size_t contraction(const Text& t, size_t at) {
  if (!t.has(at, '\'') || at + 1 >= t.size()) return at;
  const auto letter = [&](size_t i, char c) {
    return t.has(i, c) || (any_case && t.has(i, char(c - 'a' + 'A')));
  };
  for (const char c : {'s', 't', 'm', 'd'})
    if (letter(at + 1, c)) return at + 2;
  // U+017F, the long s, folds to s.
  if (any_case && t.has(at + 1, '\xC5') && t.has(at + 2, '\xBF')) return at + 3;
  for (const char* const two : {"re", "ve", "ll"})
    if (letter(at + 1, two[0]) && letter(at + 2, two[1])) return at + 3;
  return at;
}

// \s+(?!\S)|\s+ : all white space, but for the last character when text follows.
size_t blank(const Text& t, size_t at) {
  const size_t end = t.run(at, white_space);
  if (end == at || end == t.size()) return end;
  const size_t last = t.before(end);
  return last > at ? last : end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ : white space up to its last line end, if it has one.
size_t lines_or_blank(const Text& t, size_t at) {
  const size_t end = t.run(at, white_space);
  for (size_t i = end; i > at; i = t.before(i))
    if (t.has(i - 1, '\n') || t.has(i - 1, '\r')) return i;
  return blank(t, at);
}

// ` ?[marks]+[after]*`, or `at`.
size_t marks_with_space(const Text& t, size_t at, KindSet set, KindSet after, bool slash) {
  const size_t start = at + t.has(at, ' ');
  if (!t.is(start, set)) return at;
  size_t end = t.run(start, set);
  while (t.is(end, after) || (slash && t.has(end, '/'))) ++end;
  return end;
}

struct Gpt2 {
  static size_t match(const Text& t, size_t at) {
    if (const size_t end = contraction<false>(t, at); end > at) return end;
    const size_t start = at + t.has(at, ' ');
    for (const KindSet set : {letters, numbers, no_mark})
      if (t.is(start, set)) return t.run(start, set);
    return blank(t, at);
  }
};

// Llama-3's, and Qwen2's with single digits.
template <int most_digits>
struct Cl100k {
  static size_t match(const Text& t, size_t at) {
    if (const size_t end = contraction<true>(t, at); end > at) return end;
    const CharKind kind = t.kind(at);
    const size_t start = is_in(may_lead, kind) ? t.after(at) : at;
    if (t.is(start, letters)) return t.run(start, letters);
    if (is_in(numbers, kind)) return t.run(at, numbers, most_digits);
    const size_t end = marks_with_space(t, at, no_mark, set_of(newline), false);
    return end > at ? end : lines_or_blank(t, at);
  }
};

struct O200k {
  // U*L+|U+L* from `at`, of upper- and lower-like characters, of which some are both. U takes all
  // it can, and gives back as many as L needs to have one.
  static size_t word(const Text& t, size_t at) {
    const size_t uppers = t.run(at, upper_like);
    if (t.is(uppers, lower_like)) return t.run(uppers, lower_like);
    for (size_t i = uppers; i > at; i = t.before(i))
      if (t.is(t.before(i), lower_like)) return i;
    return uppers;
  }
  static size_t match(const Text& t, size_t at) {
    const CharKind kind = t.kind(at);
    const bool leads = is_in(may_lead, kind);
    const size_t start = leads ? t.after(at) : at;
    size_t end = word(t, start);
    // Without the optional first character, which may be a mark; only a word with a lower-like
    // character comes before that.
    if (leads && is_in(marks, kind) && !has_lower(t, start, end)) end = word(t, at);
    if (end > start || (end > at && is_in(marks, kind))) return contraction_after(t, end);
    if (is_in(numbers, kind)) return t.run(at, numbers, 3);
    end = marks_with_space(t, at, no_mark, set_of(newline), true);
    return end > at ? end : lines_or_blank(t, at);
  }
  static bool has_lower(const Text& t, size_t begin, size_t end) {
    for (; begin < end; begin = t.after(begin))
      if (t.is(begin, lower_like)) return true;
    return false;
  }
  static size_t contraction_after(const Text& t, size_t end) { return contraction<true>(t, end); }
};

struct DeepSeek3 {
  static constexpr KindSet word = letters | marks;
  static constexpr KindSet signs = punctuations | symbols;

  static bool is_ascii_letter(const Text& t, size_t at) {
    return at < t.size() && t.code_point(at) < 0x80 && t.is(at, letters);
  }
  // `at` where nothing matches.
  static size_t match(const Text& t, size_t at) {
    const CharKind kind = t.kind(at);
    if (is_in(signs, kind) && t.code_point(at) < 0x80 && is_ascii_letter(t, at + 1)) {
      size_t end = at + 1;
      while (is_ascii_letter(t, end)) ++end;
      return end;
    }
    const bool leads = !is_in(letters | signs | set_of(newline), kind);
    if (leads && t.is(t.after(at), word)) return t.run(t.after(at), word);
    if (is_in(word, kind)) return t.run(at, word);
    const size_t end = marks_with_space(t, at, signs, set_of(newline), false);
    return end > at ? end : lines_or_blank(t, at);
  }
};

struct ThreeDigits {
  static size_t match(const Text& t, size_t at) { return t.run(at, numbers, 3); }
};

struct HanAndKana {
  static size_t match(const Text& t, size_t at) {
    while (at < t.size() && is_one(t.code_point(at))) at = t.after(at);
    return at;
  }
  static bool is_one(char32_t c) {
    return c >= 0x3040 && c <= 0x9FA5 && (c >= 0x4E00 || c <= 0x30FF);
  }
};

// \s?[set]+
template <KindSet set>
struct Run {
  static size_t match(const Text& t, size_t at) {
    const size_t start = t.is(at, white_space) ? t.after(at) : at;
    return t.is(start, set) ? t.run(start, set) : at;
  }
};

struct LineEnd {
  static size_t match(const Text& t, size_t at) { return at + t.is(at, set_of(newline)); }
};

struct HanAndHangul {
  static size_t match(const Text& t, size_t at) {
    while (at < t.size() && is_one(t.code_point(at))) at = t.after(at);
    return at;
  }
  static bool is_one(char32_t c) {
    return (c >= 0x800 && c <= 0x9FA5) || (c >= 0xAC00 && c <= 0xD7FF);
  }
};

// Matches are pieces, and so is what lies between two of them.
template <class Pattern>
class Scanner final : public Splitter {
 public:
  Piece next(std::string_view view, size_t at) const override {
    const Text text(view);
    size_t end = Pattern::match(text, at);
    if (end > at) return {at, end};
    do end = text.after(end);
    while (end < text.size() && Pattern::match(text, end) == end);
    return {at, end};
  }
};

struct Known {
  std::string_view pattern;
  bool covers;  // every text, without gaps
  std::unique_ptr<Splitter> (*make)();
};
template <class Pattern>
std::unique_ptr<Splitter> make() {
  return std::make_unique<Scanner<Pattern>>();
}
const Known known_patterns[] = {
    {gpt2_pattern, true, make<Gpt2>},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", true,
     make<Gpt2>},
    {llama3_pattern, true, make<Cl100k<3>>},
    {qwen2_pattern, true, make<Cl100k<1>>},
    {o200k_pattern, true, make<O200k>},
    {deepseek3_patterns[0], false, make<ThreeDigits>},
    {deepseek3_patterns[1], false, make<HanAndKana>},
    {deepseek3_patterns[2], false, make<DeepSeek3>},
    {deepseek_coder_patterns[0], false, make<LineEnd>},
    {deepseek_coder_patterns[1], false, make<Run<letters>>},
    {deepseek_coder_patterns[2], false, make<Run<punctuations>>},
    {deepseek_coder_patterns[3], false, make<HanAndHangul>},
};

// Some files have line ends as such, others as escapes.
std::string with_escapes(std::string_view pattern) {
  std::string out;
  for (const char c : pattern)
    if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  return out;
}

}  // namespace

std::unique_ptr<Splitter> make_scanner(std::string_view pattern, bool keep_gaps) {
  const std::string spelled = with_escapes(pattern);
  for (const Known& known : known_patterns)
    if (known.pattern == spelled && (known.covers || keep_gaps)) return known.make();
  return nullptr;
}

}  // namespace weft
