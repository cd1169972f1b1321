#include "weft/text/story_grammar_rules.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "weft/base/error.h"

namespace weft {
namespace {

using Symbol = Grammar::Symbol;

constexpr Grammar::Held nothing_held() {
  Grammar::Held held{};
  for (int16_t& entry : held) entry = -1;
  return held;
}

class Writer {
 public:
  Writer(const Grammar& grammar, Philox random, uint64_t index)
      : grammar_(grammar), random_(random), index_(index) {}

  void rule(int id) {
    const Grammar::Rule& rule = grammar_.rules()[size_t(id)];
    double left = uniform() * rule.total;
    size_t i = 0;
    while (i + 1 < rule.choices.size() && left >= rule.choices[i].weight)
      left -= rule.choices[i++].weight;
    out.log_prob += std::log(rule.choices[i].weight / rule.total);
    for (const Symbol& s : rule.choices[i].symbols) symbol(s);
  }

  GrammarText out{{}, 0};

 private:
  void symbol(const Symbol& s) {
    switch (s.kind) {
      case Symbol::literal:
        out.text += s.text;
        return;
      case Symbol::rule:
        rule(s.id);
        return;
      case Symbol::choose:
        choose(s);
        return;
      case Symbol::recall:
        out.text += grammar_.recalled(s, held_);
        return;
    }
  }
  void choose(const Symbol& s) {
    const size_t n = grammar_.memories()[size_t(s.id)].entries.size();
    held_[size_t(s.id)] = int16_t(uniform() * double(n));
    out.log_prob -= std::log(double(n));
    out.text += grammar_.recalled(s, held_);
  }
  // In [0, 1); one call of Philox gives two.
  double uniform() {
    if (draws_ % 2 == 0) words_ = random_(draws_ / 2, index_);
    const size_t i = 2 * (draws_++ % 2);
    return uniform_double(words_[i], words_[i + 1]);
  }

  const Grammar& grammar_;
  const Philox random_;
  const uint64_t index_;
  uint64_t draws_ = 0;
  std::array<uint32_t, 4> words_{};
  Grammar::Held held_ = nothing_held();
};

// Descends into the first choice that fits and never comes back: no other can (Grammar::ambiguity).
class Reader {
 public:
  Reader(const Grammar& grammar, std::string_view text) : grammar_(grammar), text_(text) {}

  bool rule(int id) {
    const Grammar::Rule& rule = grammar_.rules()[size_t(id)];
    const size_t start = at;
    const double before = log_prob;
    const Grammar::Held held = held_;
    for (const Grammar::Choice& choice : rule.choices) {
      at = start, held_ = held;
      log_prob = before + std::log(choice.weight / rule.total);
      if (std::all_of(choice.symbols.begin(), choice.symbols.end(),
                      [this](const Symbol& s) { return symbol(s); }))
        return true;
    }
    return false;
  }

  size_t at = 0, furthest = 0;
  double log_prob = 0;

 private:
  bool symbol(const Symbol& s) {
    switch (s.kind) {
      case Symbol::literal:
        return literal(s.text);
      case Symbol::rule:
        return rule(s.id);
      case Symbol::choose:
        return choose(s);
      case Symbol::recall:
        return literal(grammar_.recalled(s, held_));
    }
    return false;
  }
  bool choose(const Symbol& s) {
    const size_t n = grammar_.memories()[size_t(s.id)].entries.size();
    log_prob -= std::log(double(n));
    for (size_t i = 0; i < n; ++i) {
      held_[size_t(s.id)] = int16_t(i);
      if (literal(grammar_.recalled(s, held_))) return true;
    }
    return false;
  }
  bool literal(std::string_view expected) {
    size_t n = 0;
    while (n < expected.size() && at + n < text_.size() && text_[at + n] == expected[n]) ++n;
    furthest = std::max(furthest, at + n);
    if (n < expected.size()) return false;
    at += n;
    return true;
  }

  const Grammar& grammar_;
  const std::string_view text_;
  Grammar::Held held_ = nothing_held();
};

GrammarSize size_of_symbol(const Grammar& grammar, const Symbol& s,
                           const std::vector<GrammarSize>& rules) {
  if (s.kind == Symbol::literal) return {0, double(s.text.size()), 1};
  if (s.kind == Symbol::rule) return rules[size_t(s.id)];
  const auto& entries = grammar.memories()[size_t(s.id)].entries;
  double characters = 0;
  for (const auto& entry : entries) characters += double(entry[size_t(s.form)].size());
  const double n = double(entries.size());
  if (s.kind == Symbol::recall) return {0, characters / n, 1};
  return {std::log(n), characters / n, n};
}

}  // namespace

const std::string& Grammar::recalled(const Symbol& symbol, const Held& held) const {
  const Memory& memory = memories_[size_t(symbol.id)];
  const size_t entry = size_t(held[size_t(symbol.id)]);
  return (symbol.capital ? memory.capitals : memory.entries)[entry][size_t(symbol.form)];
}

GrammarText Grammar::generate(Philox random, uint64_t index) const {
  Writer writer(*this, random, index);
  writer.rule(0);
  return std::move(writer.out);
}

GrammarMatch Grammar::match(std::string_view text) const {
  Reader reader(*this, text);
  if (reader.rule(0) && reader.at == text.size()) return {true, reader.log_prob, text.size()};
  return {false, -std::numeric_limits<double>::infinity(), reader.furthest};
}

// From the last rule up, because rules refer downwards. What a memory holds does not change which
// choices follow, so the expectations add up.
GrammarSize Grammar::size() const {
  std::vector<GrammarSize> sizes(rules_.size(), GrammarSize{0, 0, 0});
  for (size_t r = rules_.size(); r-- > 0;) {
    for (const Choice& choice : rules_[r].choices) {
      const double p = choice.weight / rules_[r].total;
      GrammarSize sum{-std::log(p), 0, 1};
      for (const Symbol& s : choice.symbols) {
        const GrammarSize part = size_of_symbol(*this, s, sizes);
        sum.nats += part.nats, sum.characters += part.characters, sum.texts *= part.texts;
      }
      sizes[r].nats += p * sum.nats, sizes[r].characters += p * sum.characters;
      sizes[r].texts += sum.texts;
    }
  }
  return sizes[0];
}

}  // namespace weft
