// The proof that a grammar's texts have one derivation each: two choices of a rule are written side
// by side, one character at a time, in all ways in which they agree so far; they must part before
// either ends.
#include <algorithm>

#include "weft/text/story_grammar_rules.h"

namespace weft {
namespace {

using Symbol = Grammar::Symbol;

// One of the two texts in the making.
struct Cursor {
  std::vector<const Symbol*> todo{};  // the next symbol is the last one
  std::string_view letters{};         // written before `todo` goes on
  Grammar::Held held{};               // -1: not chosen inside of this rule

  void push(const Grammar::Choice& choice) {
    for (size_t i = choice.symbols.size(); i-- > 0;) todo.push_back(&choice.symbols[i]);
  }
  bool ended() const { return letters.empty() && todo.empty(); }
};

class Clash {
 public:
  explicit Clash(const Grammar& grammar) : grammar_(grammar) {}

  bool between(const Grammar::Choice& x, const Grammar::Choice& y) const {
    Cursor a, b;
    a.held.fill(-1), b.held.fill(-1);
    a.push(x), b.push(y);
    return meets(a, b);
  }

 private:
  // True if a text of one is the text of the other or its beginning.
  bool meets(Cursor a, Cursor b) const {
    for (;;) {
      if (a.ended() || b.ended()) return true;
      if (a.letters.empty()) return branches(a, b);
      if (b.letters.empty()) return branches(b, a);
      const size_t n = std::min(a.letters.size(), b.letters.size());
      if (a.letters.substr(0, n) != b.letters.substr(0, n)) return false;
      a.letters.remove_prefix(n), b.letters.remove_prefix(n);
    }
  }

  // Tries all that the next symbol of `a` can become.
  bool branches(Cursor a, const Cursor& b) const {
    const Symbol& s = *a.todo.back();
    a.todo.pop_back();
    if (s.kind == Symbol::literal) {
      a.letters = s.text;
      return meets(a, b);
    }
    if (s.kind == Symbol::rule) {
      const auto& choices = grammar_.rules()[size_t(s.id)].choices;
      return std::any_of(choices.begin(), choices.end(), [&](const Grammar::Choice& choice) {
        Cursor next = a;
        next.push(choice);
        return meets(next, b);
      });
    }
    return remembers(a, b, s);
  }

  // A memory that is recalled without being chosen here was chosen before the two parted: both hold
  // the same.
  bool remembers(const Cursor& a, const Cursor& b, const Symbol& s) const {
    const size_t id = size_t(s.id), n = grammar_.memories()[id].entries.size();
    const bool known = s.kind == Symbol::recall && a.held[id] >= 0;
    const size_t from = known ? size_t(a.held[id]) : 0, to = known ? from + 1 : n;
    for (size_t entry = from; entry < to; ++entry) {
      Cursor next = a, other = b;
      next.held[id] = int16_t(entry);
      if (s.kind == Symbol::recall) other.held[id] = int16_t(entry);
      next.letters = grammar_.recalled(s, next.held);
      if (meets(next, other)) return true;
    }
    return false;
  }

  const Grammar& grammar_;
};

// A memory's first forms are choices too. In order of the alphabet a word stands right before one
// that it begins, or before another that it begins.
bool entries_clash(const Grammar::Memory& memory) {
  std::vector<std::string_view> first;
  for (const auto& entry : memory.entries) first.push_back(entry[0]);
  std::sort(first.begin(), first.end());
  for (size_t i = 1; i < first.size(); ++i)
    if (first[i].starts_with(first[i - 1])) return true;
  return false;
}

}  // namespace

std::string Grammar::ambiguity() const {
  for (const Memory& memory : memories_)
    if (entries_clash(memory)) return memory.name;
  const Clash clash(*this);
  for (const Rule& rule : rules_)
    for (size_t i = 0; i < rule.choices.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        if (clash.between(rule.choices[i], rule.choices[j])) return rule.name;
  return {};
}

}  // namespace weft
