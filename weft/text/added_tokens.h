// Tokens that are found in a text before it is cut into pieces: <|endoftext|> and the like, with
// the flags that Hugging Face's tokenizer.json gives them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;      // has a meaning for the model; not part of what a user reads
  bool normalized = false;   // looked for in the normalized text, else in the text as it came
  bool single_word = false;  // not next to a letter, digit or underscore
  bool lstrip = false, rstrip = false;  // takes the white space before, after it
};

// Those that are looked for in the normalized text, or the others.
std::vector<AddedToken> with_normalized(const std::vector<AddedToken>& tokens, bool normalized);

// A part of a text: one added token, or what lies between two (id -1).
struct Section {
  int32_t id;
  std::string_view text;
};

// Finds added tokens, from left to right, the longest first.
class AddedTokenFinder {
 public:
  // Contents must not be empty.
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  bool empty() const { return tokens_.empty(); }
  // The sections of UTF-8 text; those of tokens are what the token takes of the text.
  std::vector<Section> split(std::string_view text) const;

 private:
  // One byte of some contents, a tree.
  struct Node {
    int32_t token = -1;                              // index of the token that ends here
    std::vector<std::pair<uint8_t, uint32_t>> next;  // by byte, ascending
  };

  // The index of the longest token at `at`, or -1.
  int32_t longest(std::string_view text, size_t at) const;
  const Node* step(const Node& node, char byte) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  bool starts_[256] = {};  // a token starts with the byte
};

}  // namespace weft
