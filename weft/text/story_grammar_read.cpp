// Reads the table of a Grammar.
#include <algorithm>
#include <cctype>
#include <charconv>

#include "weft/base/error.h"
#include "weft/text/story_grammar_rules.h"

namespace weft {
namespace {

// A rule or a memory as it stands in the table.
struct Definition {
  int line;
  bool memory;
  std::string name;
  std::vector<std::string> forms{};
  std::vector<std::string> choices{};
};

std::string_view trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> parts;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(by, start), text.size());
    parts.emplace_back(trim(text.substr(start, end - start)));
    start = end + 1;
  }
  return parts;
}

// "\\n" stands for a line end.
std::string with_line_ends(std::string_view text) {
  std::string out(text);
  for (size_t at = out.find("\\n"); at != out.npos; at = out.find("\\n", at + 1))
    out.replace(at, 2, "\n");
  return out;
}

std::string capitalised(std::string s) {
  if (!s.empty()) s[0] = char(std::toupper(uint8_t(s[0])));
  return s;
}

// "name: a | b", "@name: a | b" or "@name(form, form):".
Definition read_header(std::string_view text, int line) {
  const size_t colon = text.find(':');
  WEFT_CHECK(colon != text.npos, "line {} of a grammar, a name without a colon: {}", line, text);
  std::string_view name = text.substr(0, colon);
  Definition d{.line = line, .memory = name.starts_with('@'), .name = {}};
  if (d.memory) name.remove_prefix(1);
  if (const size_t open = name.find('('); open != name.npos) {
    WEFT_CHECK(name.ends_with(')'), "line {} of a grammar, a bracket left open: {}", line, text);
    d.forms = split(name.substr(open + 1, name.size() - open - 2), ',');
    name = name.substr(0, open);
  } else if (d.memory) {
    d.forms = {""};
  }
  d.name = name;
  const std::string_view rest = trim(text.substr(colon + 1));
  if (!rest.empty()) d.choices = split(rest, '|');
  return d;
}

std::vector<Definition> read_lines(std::string_view table) {
  std::vector<Definition> definitions;
  int number = 0;
  for (size_t start = 0; start < table.size();) {
    const size_t end = std::min(table.find('\n', start), table.size());
    const std::string_view raw = table.substr(start, end - start), text = trim(raw);
    start = end + 1, ++number;
    if (text.empty() || text.front() == '#') continue;
    if (raw.front() != ' ') {
      definitions.push_back(read_header(text, number));
    } else {
      WEFT_CHECK(!definitions.empty(), "line {} of a grammar, a choice of no rule", number);
      definitions.back().choices.emplace_back(text);
    }
  }
  for (const Definition& d : definitions)
    WEFT_CHECK(!d.choices.empty(), "line {} of a grammar, {} has no choices", d.line, d.name);
  return definitions;
}

Grammar::Memory read_memory(const Definition& d) {
  Grammar::Memory memory{.name = d.name, .forms = d.forms};
  for (const std::string& choice : d.choices) {
    memory.entries.push_back(split(choice, ','));
    WEFT_CHECK(memory.entries.back().size() == d.forms.size(),
               "line {} of a grammar, {} has {} forms, got: {}", d.line, d.name, d.forms.size(),
               choice);
    std::vector<std::string> capitals;
    for (const std::string& form : memory.entries.back()) capitals.push_back(capitalised(form));
    memory.capitals.push_back(capitals);
  }
  return memory;
}

template <class Named>
int find_name(const std::vector<Named>& all, std::string_view name) {
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const Named& x) { return x.name == name; });
  return it == all.end() ? -1 : int(it - all.begin());
}

// What stands between { and }.
Grammar::Symbol read_reference(std::string_view text, const std::vector<Grammar::Rule>& rules,
                               const std::vector<Grammar::Memory>& memories) {
  using Symbol = Grammar::Symbol;
  Symbol symbol{.kind = Symbol::recall, .text = std::string(text)};
  if (text.starts_with('+')) symbol.kind = Symbol::choose, text.remove_prefix(1);
  const size_t dot = std::min(text.find('.'), text.size());
  std::string name(text.substr(0, dot));
  WEFT_CHECK(!name.empty(), "a grammar with an empty reference");
  symbol.capital = std::isupper(uint8_t(name[0])) != 0;
  name[0] = char(std::tolower(uint8_t(name[0])));
  symbol.id = find_name(memories, name);
  if (symbol.id < 0) {
    symbol.id = find_name(rules, name);
    WEFT_CHECK(
        symbol.id >= 0 && symbol.kind == Symbol::recall && !symbol.capital && dot == text.size(),
        "a grammar without a rule or memory for {{{}}}", symbol.text);
    symbol.kind = Symbol::rule;
  } else if (dot < text.size()) {
    const auto& forms = memories[size_t(symbol.id)].forms;
    const auto form = std::find(forms.begin(), forms.end(), text.substr(dot + 1));
    WEFT_CHECK(form != forms.end(), "a grammar without the form {{{}}}", symbol.text);
    symbol.form = int(form - forms.begin());
  }
  return symbol;
}

Grammar::Choice read_choice(std::string_view text, const std::vector<Grammar::Rule>& rules,
                            const std::vector<Grammar::Memory>& memories) {
  using Symbol = Grammar::Symbol;
  Grammar::Choice choice{.weight = 1, .symbols = {}};
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    int weight = 0;
    if (close != text.npos) std::from_chars(text.data() + 1, text.data() + close, weight);
    WEFT_CHECK(weight > 0, "a grammar with a bad weight: {}", text);
    choice.weight = weight;
    text = trim(text.substr(close + 1));
  }
  while (!text.empty()) {
    const size_t open = std::min(text.find('{'), text.size());
    if (open > 0) {
      choice.symbols.push_back(
          {.kind = Symbol::literal, .text = with_line_ends(text.substr(0, open))});
      text.remove_prefix(open);
      continue;
    }
    const size_t close = text.find('}');
    WEFT_CHECK(close != text.npos, "a grammar with a brace left open: {}", text);
    choice.symbols.push_back(read_reference(text.substr(1, close - 1), rules, memories));
    text.remove_prefix(close + 1);
  }
  return choice;
}

// Every rule is used, and only above where it stands.
void check_uses(const std::vector<Grammar::Rule>& rules) {
  std::vector<bool> used(rules.size(), false);
  used[0] = true;
  for (size_t id = 0; id < rules.size(); ++id) {
    WEFT_CHECK(used[id], "a grammar where no rule above {} uses it", rules[id].name);
    for (const Grammar::Choice& choice : rules[id].choices) {
      for (const Grammar::Symbol& symbol : choice.symbols) {
        if (symbol.kind != Grammar::Symbol::rule) continue;
        WEFT_CHECK(size_t(symbol.id) > id, "a grammar where {{{}}} is used below it", symbol.text);
        used[size_t(symbol.id)] = true;
      }
    }
  }
}

// The memories chosen on every way from the start to behind rule `id`, of those chosen before it.
uint32_t check_order(const std::vector<Grammar::Rule>& rules, size_t id, uint32_t before) {
  using Symbol = Grammar::Symbol;
  uint32_t after = ~0u;
  for (const Grammar::Choice& choice : rules[id].choices) {
    uint32_t now = before;
    for (const Symbol& symbol : choice.symbols) {
      const uint32_t bit = 1u << symbol.id % 32;
      if (symbol.kind == Symbol::rule) now = check_order(rules, size_t(symbol.id), now);
      if (symbol.kind == Symbol::choose) now |= bit;
      WEFT_CHECK(symbol.kind != Symbol::recall || (now & bit) != 0,
                 "a grammar where {{{}}} in {} may come before it is chosen", symbol.text,
                 rules[id].name);
    }
    after &= now;
  }
  return after;
}

}  // namespace

Grammar::Grammar(std::string_view table) {
  const std::vector<Definition> definitions = read_lines(table);
  for (const Definition& d : definitions) {
    WEFT_CHECK(find_name(rules_, d.name) < 0 && find_name(memories_, d.name) < 0,
               "line {} of a grammar, a second {}", d.line, d.name);
    if (d.memory) {
      memories_.push_back(read_memory(d));
    } else {
      rules_.push_back({.name = d.name});
    }
  }
  WEFT_CHECK(!rules_.empty() && memories_.size() <= kMaxMemories,
             "a grammar of {} rules, {} memories", rules_.size(), memories_.size());
  for (const Definition& d : definitions) {
    if (d.memory) continue;
    Rule& rule = rules_[size_t(find_name(rules_, d.name))];
    for (const std::string& text : d.choices) {
      rule.choices.push_back(read_choice(text, rules_, memories_));
      rule.total += rule.choices.back().weight;
    }
  }
  check_uses(rules_);
  check_order(rules_, 0, 0);
}

}  // namespace weft
