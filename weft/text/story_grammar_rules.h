// A probabilistic grammar with a memory, for texts whose exact probability is known. Its table
// reads like this:
//
//   # a comment
//   @hero(name, he):                  a memory: what is chosen in a text and recalled in one of its
//     Mia, she                        forms, here "name" and "he"; the choices are equally likely
//     Tom, he
//   @thing: kite | drum               a memory with one form
//   story: {+hero} had a {+thing}. {end}
//   end:                              a rule: one choice per line, or on one line with | between
//   them
//     [3] {Hero.he} lost it.          [3] is a weight (1 where there is none)
//     {hero} ate the {thing}.
//
// {rule} goes on with that rule, {+hero} chooses and writes the first form, {hero} and {hero.he}
// recall, and a capital letter, as in {Hero.he}, capitalises what is recalled. \n is a line end. A
// rule refers only to rules below it, so every text is finite. On every way through the grammar a
// memory is chosen before it is recalled; what is chosen again replaces what was remembered.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/base/random.h"

namespace weft {

struct GrammarText {
  std::string text;
  double log_prob;  // nats, summed over the choices made
};

struct GrammarMatch {
  bool accepted;    // the whole text is in the language
  double log_prob;  // nats; minus infinity where it is refused
  size_t matched;   // characters of the longest beginning that some text of the language shares
};

// Exact expectations over the texts of the grammar, and how many choices there are.
struct GrammarSize {
  double nats;        // entropy of one text
  double characters;  // mean length of one text
  double texts;       // number of different texts
};

class Grammar {
 public:
  // Throws an internal error that names the line if the table breaks the rules above.
  explicit Grammar(std::string_view table);

  // Text number `index` of this key: a pure function of both.
  GrammarText generate(Philox random, uint64_t index) const;
  // Relies on there being one derivation per text, see ambiguity().
  GrammarMatch match(std::string_view text) const;
  // Exact where ambiguity() is empty: the entropy of the texts is then that of their derivations.
  GrammarSize size() const;
  // Empty, or the name of a rule in which one choice can be the beginning of another. Where no rule
  // does this, the rest of a text determines every choice, so a text has at most one derivation.
  std::string ambiguity() const;

  struct Symbol {
    enum Kind { literal, rule, choose, recall } kind;
    int id = 0;          // of the rule or the memory
    int form = 0;        // recall: column of the memory
    std::string text{};  // literal; otherwise the reference as written
    bool capital = false;
  };
  struct Choice {
    double weight;
    std::vector<Symbol> symbols;
  };
  struct Rule {
    std::string name;
    std::vector<Choice> choices{};
    double total = 0;  // of the weights
  };
  struct Memory {
    std::string name;
    std::vector<std::string> forms{};
    std::vector<std::vector<std::string>> entries{};   // [entry][form]
    std::vector<std::vector<std::string>> capitals{};  // the same, with a capital letter
  };
  static constexpr int kMaxMemories = 16;
  // The entry that each memory holds; -1: none.
  using Held = std::array<int16_t, kMaxMemories>;

  const std::vector<Rule>& rules() const { return rules_; }
  const std::vector<Memory>& memories() const { return memories_; }
  const std::string& recalled(const Symbol& symbol, const Held& held) const;

 private:
  std::vector<Rule> rules_;  // the first one is the start
  std::vector<Memory> memories_;
};

}  // namespace weft
