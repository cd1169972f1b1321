// Patterns in PCRE2 with JIT. The patterns of tokenizer.json are written for Oniguruma, so what
// means something else in PCRE2 is rewritten or refused.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <algorithm>
#include <iterator>
#include <pcre2.h>

#include "weft/base/error.h"
#include "weft/base/utf8.h"
#include "weft/text/pre_tokenizer.h"
#include "weft/text/unicode.h"

namespace weft {
namespace {

constexpr size_t max_pattern_bytes = size_t(16) << 10;
constexpr size_t max_jit_stack = size_t(8) << 20;
constexpr uint32_t match_limit = 10'000'000, heap_limit_kib = 64 << 10;

// Escapes as the members of a class.
struct Escape {
  char letter;
  std::string_view members;
};
constexpr Escape escapes[] = {
    // White_Space; PCRE2's \s also has U+180E.
    {'s', R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029})"
          R"(\x{202f}\x{205f}\x{3000})"},
    {'w', R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc})"},  // PCRE2's has no marks
    {'h', "0-9A-Fa-f"},                        // PCRE2's is horizontal space
};

// Reads a pattern once, from left to right, and knows whether it is within a class.
class Rewriter {
 public:
  Rewriter(std::string_view pattern, const std::string& what) : pattern_(pattern), what_(what) {}

  std::string rewrite() {
    for (; at_ < pattern_.size(); ++at_) {
      const char c = pattern_[at_];
      if (c == '\\' && at_ + 1 < pattern_.size())
        escape(pattern_[++at_]);
      else if (class_begin_ == std::string::npos && c == '[')
        open_class();
      else if (class_begin_ != std::string::npos)
        in_class(c);
      else
        out_ += c;
    }
    return std::move(out_);
  }

 private:
  void escape(char letter) {
    const bool negated = letter >= 'A' && letter <= 'Z', inside = class_begin_ != std::string::npos;
    const char lower = negated ? char(letter - 'A' + 'a') : letter;
    const auto* const known =
        std::ranges::find_if(escapes, [&](const Escape& e) { return e.letter == lower; });
    if (known == std::end(escapes) || (negated && inside))
      (out_ += '\\') += letter;
    else if (inside)
      out_ += known->members;
    else
      ((out_ += negated ? "[^" : "[") += known->members) += ']';
  }
  void open_class() {
    out_ += '[';
    if (at_ + 1 < pattern_.size() && pattern_[at_ + 1] == '^') out_ += pattern_[++at_];
    class_begin_ = at_ + 1;
  }
  void in_class(char c) {
    const bool more = at_ + 1 < pattern_.size();
    if (c == '[' && more && pattern_[at_ + 1] == ':') return named_class();
    if (c == '[' || (c == '&' && more && pattern_[at_ + 1] == '&'))
      data_error(
          "{}: the pattern {} has a class within a class at byte {}, which is not supported; write "
          "it with alternatives or a look-ahead",
          what_, in_quotes(pattern_), at_);
    out_ += c;
    if (c == ']' && at_ > class_begin_) class_begin_ = std::string::npos;
  }
  // [:alpha:]
  void named_class() {
    const size_t end = std::min(pattern_.find(":]", at_ + 2), pattern_.size() - 2);
    out_ += pattern_.substr(at_, end + 2 - at_);
    at_ = end + 1;
  }

  std::string_view pattern_;
  const std::string& what_;
  std::string out_;
  size_t at_ = 0;
  size_t class_begin_ = std::string::npos;  // where the members of the open class begin
};

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

// What one thread matches with.
struct Matcher {
  Owned<pcre2_match_data> data{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
  Owned<pcre2_jit_stack> stack{pcre2_jit_stack_create(32 << 10, max_jit_stack, nullptr)};

  Matcher() {
    if (!data || !context || !stack)
      resource_error("no memory to match patterns; close other programs");
    pcre2_set_match_limit(context.get(), match_limit);
    pcre2_set_heap_limit(context.get(), heap_limit_kib);
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

std::string message_of(int error) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

Owned<pcre2_code> compile(const std::string& pattern, const std::string& shown,
                          const std::string& what) {
  if (pattern.size() > max_pattern_bytes)
    data_error("{}: a pattern has {} bytes, at most {} are allowed", what, pattern.size(),
               max_pattern_bytes);
  constexpr uint32_t options =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;
  int error = 0;
  size_t offset = 0;
  Owned<pcre2_code> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                       options, &error, &offset, nullptr));
  if (!code)
    data_error("{}: the pattern {} is wrong: {}", what, in_quotes(shown), message_of(error));
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without it, matching is slower
  return code;
}

class RegexSplitter final : public Splitter {
 public:
  RegexSplitter(const SplitRule& rule, const std::string& what)
      : rule_(rule),
        what_(what),
        code_(compile(Rewriter(rule.pattern, what_).rewrite(), rule.pattern, what_)) {}

  Piece next(std::string_view text, size_t at) const override {
    while (at < text.size()) {
      const Piece match = find(text, at);
      if (match.begin > at) {  // a gap first
        if (rule_.keep_gaps) return {at, match.begin};
        at = match.begin;
        continue;
      }
      if (rule_.keep_matches) return match;
      at = match.end;
    }
    return {text.size(), text.size()};
  }

 private:
  // The first match at or after `at`; where there is none, an empty one at the end. An empty match
  // is a cut there, and the search goes on behind the next character.
  Piece find(std::string_view text, size_t at) const {
    const Piece match = search(text, at);
    if (match.begin > at || match.end > match.begin) return match;
    const size_t later = at + decode_utf8(text.substr(at)).bytes;
    if (later >= text.size()) return {text.size(), text.size()};
    return search(text, later);
  }

  Piece search(std::string_view text, size_t at) const {
    thread_local const Matcher matcher;
    const int found =
        pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                    PCRE2_NO_UTF_CHECK, matcher.data.get(), matcher.context.get());
    if (found == PCRE2_ERROR_NOMATCH) return {text.size(), text.size()};
    if (found < 0)
      data_error("{}: the pattern {} takes too long on the text {}: {}", what_,
                 in_quotes(rule_.pattern), in_quotes(text.substr(at)), message_of(found));
    const size_t* const ends = pcre2_get_ovector_pointer(matcher.data.get());
    return {std::max(ends[0], at), std::max(ends[1], at)};  // \K may go back
  }

  SplitRule rule_;
  std::string what_;
  Owned<pcre2_code> code_;
};

class LiteralSplitter final : public Splitter {
 public:
  explicit LiteralSplitter(SplitRule rule) : rule_(std::move(rule)) {}

  Piece next(std::string_view text, size_t at) const override {
    while (at < text.size()) {
      const size_t found = std::min(text.find(rule_.pattern, at), text.size());
      if (found > at && rule_.keep_gaps) return {at, found};
      if (found == text.size()) break;
      at = found + rule_.pattern.size();
      if (rule_.keep_matches) return {found, at};
    }
    return {text.size(), text.size()};
  }

 private:
  SplitRule rule_;
};

// Digits are a piece each, or a run of them one.
class DigitSplitter final : public Splitter {
 public:
  explicit DigitSplitter(bool single) : single_(single) {}

  Piece next(std::string_view text, size_t at) const override {
    const bool digit = starts_with_number(text, at);
    size_t end = at;
    do end += decode_utf8(text.substr(end)).bytes;
    while (end < text.size() && starts_with_number(text, end) == digit && !(digit && single_));
    return {at, end};
  }

 private:
  static bool starts_with_number(std::string_view text, size_t at) {
    return is_in(numbers, char_kinds()[decode_utf8(text.substr(at)).code_point]);
  }
  bool single_;
};

}  // namespace

std::unique_ptr<Splitter> make_regex_splitter(const SplitRule& rule, const std::string& what) {
  return std::make_unique<RegexSplitter>(rule, what);
}

std::unique_ptr<Splitter> make_splitter(const SplitRule& rule, const std::string& what) {
  if (rule.kind == SplitRule::Kind::digits)
    return std::make_unique<DigitSplitter>(rule.single_digits);
  if (rule.pattern.empty()) data_error("{}: a pre-tokenizer's pattern is empty", what);
  if (rule.kind == SplitRule::Kind::literal) return std::make_unique<LiteralSplitter>(rule);
  if (rule.keep_matches)
    if (auto scanner = make_scanner(rule.pattern, rule.keep_gaps)) return scanner;
  return make_regex_splitter(rule, what);
}

PreTokenizer::PreTokenizer(std::vector<SplitRule> rules, const std::string& what)
    : rules_(std::move(rules)) {
  for (const SplitRule& rule : rules_) splitters_.push_back(make_splitter(rule, what));
}

}  // namespace weft
