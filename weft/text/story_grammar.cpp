#include "weft/text/story_grammar.h"

#include "weft/text/story_grammar_table.h"

namespace weft {
namespace {

constexpr uint64_t kPath = hash_path("text/story_grammar");
constexpr uint64_t kValidationStart = uint64_t(1) << 63;  // index of the first validation text

}  // namespace

const Grammar& story_grammar() {
  static const Grammar grammar(kStoryTable);
  return grammar;
}

const Grammar& primer_grammar() {
  static const Grammar grammar(std::string(kDialogueTable) + std::string(kStoryTable) +
                               sums_table());
  return grammar;
}

GrammarText generate_text(const Grammar& grammar, uint64_t seed, uint64_t index) {
  return grammar.generate(Philox{random_key(seed, kPath)}, index);
}

double nats_per_character(const Grammar& grammar) {
  const GrammarSize size = grammar.size();
  return size.nats / (size.characters + double(kTextEnd.size()));
}

std::string make_corpus(const Grammar& grammar, uint64_t seed, size_t bytes, CorpusSplit split) {
  std::string corpus;
  corpus.reserve(bytes);
  for (uint64_t index = split == CorpusSplit::train ? 0 : kValidationStart;; ++index) {
    const std::string text = generate_text(grammar, seed, index).text;
    if (corpus.size() + text.size() + kTextEnd.size() > bytes) return corpus;
    corpus += text, corpus += kTextEnd;
  }
}

std::vector<std::string_view> split_corpus(std::string_view corpus) {
  std::vector<std::string_view> texts;
  for (size_t start = 0;;) {
    const size_t end = corpus.find(kTextEnd, start);
    if (end == corpus.npos) return texts;
    if (end > start) texts.push_back(corpus.substr(start, end + kTextEnd.size() - start));
    start = end + kTextEnd.size();
  }
}

std::vector<Sum> primer_sums() {
  std::vector<Sum> sums;
  for (const Grammar::Memory& memory : primer_grammar().memories())
    if (memory.name == "sum")
      for (const auto& entry : memory.entries)
        sums.push_back({"What is " + entry[0], entry[1] + "."});
  return sums;
}

}  // namespace weft
