// What cuts a text into the pieces that byte-level BPE merges within: a sequence of splitters, each
// applied to every piece of the one before. Patterns that most models use have a scanner of their
// own (pattern_scanner.cpp), others run in PCRE2 with limits (pattern_regex.cpp).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

struct Piece {
  size_t begin, end;  // bytes
};

// Cuts a text from left to right. Const members may be called by several threads.
class Splitter {
 public:
  virtual ~Splitter() = default;
  // The first piece at or after `at`, where a character starts; an empty one at the end of the text
  // when there is none. `text` is UTF-8, at < text.size().
  virtual Piece next(std::string_view text, size_t at) const = 0;
};

// One step of a tokenizer.json's "pre_tokenizer".
struct SplitRule {
  enum class Kind : uint8_t {
    pattern,  // {"type": "Split", "pattern": {"Regex": ...}}
    literal,  // {"type": "Split", "pattern": {"String": ...}}
    digits,   // {"type": "Digits"}
  };
  Kind kind = Kind::pattern;
  std::string pattern = {};
  bool keep_matches = true, keep_gaps = true;  // "Isolated" keeps both, "Removed" one of them
  bool single_digits = false;                  // every digit a piece of its own
};

// GPT-2's, which {"type": "ByteLevel", "use_regex": true} stands for.
extern const std::string_view gpt2_pattern, llama3_pattern, qwen2_pattern, o200k_pattern;
// DeepSeek-V3's in this order, and those of DeepSeek-Coder, which go on with single digits.
extern const std::string_view deepseek3_patterns[3], deepseek_coder_patterns[4];

// The scanner of a pattern whose matches are pieces and, if wanted, the gaps between them; nothing
// when there is none.
std::unique_ptr<Splitter> make_scanner(std::string_view pattern, bool keep_gaps = true);
// The pattern in PCRE2. \s is White_Space, as everywhere else than in PCRE2; the other classes are
// of PCRE2's Unicode version. Error(data) naming `what` for a pattern that is wrong or too large;
// next() throws Error(data) when a match takes too many steps.
std::unique_ptr<Splitter> make_regex_splitter(const SplitRule& rule, const std::string& what);
std::unique_ptr<Splitter> make_splitter(const SplitRule& rule, const std::string& what);

class PreTokenizer {
 public:
  // Without rules a text is one piece.
  PreTokenizer(std::vector<SplitRule> rules, const std::string& what);

  const std::vector<SplitRule>& rules() const { return rules_; }

  // Calls use(piece) for each piece of `text`, from left to right; they are not empty.
  template <class F>
  void for_each_piece(std::string_view text, F&& use) const {
    split(0, text, use);
  }

 private:
  template <class F>
  void split(size_t step, std::string_view text, F& use) const {
    if (step == splitters_.size()) {
      use(text);
      return;
    }
    for (size_t at = 0; at < text.size();) {
      const Piece piece = splitters_[step]->next(text, at);
      if (piece.begin == piece.end) return;
      split(step + 1, text.substr(piece.begin, piece.end - piece.begin), use);
      at = piece.end;
    }
  }

  std::vector<SplitRule> rules_;
  std::vector<std::unique_ptr<const Splitter>> splitters_;
};

}  // namespace weft
