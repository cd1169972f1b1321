// Texts by probabilistic grammars: little English stories, and a primer of stories and dialogues
// with sums, which `weft demo` trains on. Their exact probability is known, so a model's loss has a
// floor to be held against, and whether a text is right is a fact: names, pronouns and things must
// agree, and so must sums.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weft/text/story_grammar_rules.h"

namespace weft {

// Stands after every text of a corpus, so that texts are documents.
inline constexpr std::string_view kTextEnd = "\n\n";

// One paragraph of about 150 to 330 ASCII characters (story_grammar_table.cpp).
const Grammar& story_grammar();
// Such stories, and dialogues as in text/dialogue.h: questions, sums, stories that are asked for
// (story_grammar_dialogues.cpp).
const Grammar& primer_grammar();

// Text number `index`: a pure function of seed and index.
GrammarText generate_text(const Grammar& grammar, uint64_t seed, uint64_t index);

// Exact, and counts the end of a text too: the lowest mean loss on a corpus, reached by a model
// that always sees a text from its start.
double nats_per_character(const Grammar& grammar);

enum class CorpusSplit { train, validation };

// The first texts of a split, each with its end: as many as fit into `bytes`. The splits share no
// index.
std::string make_corpus(const Grammar& grammar, uint64_t seed, size_t bytes,
                        CorpusSplit split = CorpusSplit::train);

// The texts of a corpus, each with its end. A last one without an end is unfinished, and left out.
std::vector<std::string_view> split_corpus(std::string_view corpus);

// The sums of the primer as they are asked and answered: "What is 3 plus 4?", "3 plus 4 is 7."
struct Sum {
  std::string question, answer;
};
std::vector<Sum> primer_sums();

}  // namespace weft
