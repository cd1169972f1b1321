// Little English stories by a probabilistic grammar (story_grammar_table.cpp): what `weft demo`
// trains on. Their exact probability is known, so a model's loss has a floor to be held against,
// and whether a text is a story is a fact: names, pronouns and things must agree.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/text/story_grammar_rules.h"

namespace weft {

// Stands after every story of a corpus, so that stories are documents. A model that shall begin one
// is given a single "\n", and its training windows best start there too: attention cannot tell the
// first from the second of two equal characters with nothing before them.
inline constexpr std::string_view kStoryEnd = "\n\n";

const Grammar& story_grammar();

// Story number `index`: a pure function of seed and index. ASCII, one paragraph, about 150
// to 330 characters.
GrammarText generate_story(uint64_t seed, uint64_t index);

// ln p(text) in nats; nothing where no story reads like this.
std::optional<double> story_log_prob(std::string_view text);

// Exact. `nats_per_character` counts the end of the story too: the lowest mean loss on a corpus,
// reached by a model that always sees its story from the start.
struct StoryEntropy {
  double nats_per_story, characters_per_story, nats_per_character;
  double stories;  // how many different ones there are
};
StoryEntropy story_entropy();

enum class StorySplit { train, validation };

// The first stories of a split, each with its end: as many as fit into `bytes`. The splits share no
// index.
std::string make_story_corpus(uint64_t seed, size_t bytes, StorySplit split = StorySplit::train);

// The pieces of a text between story ends, without empty ones. A last piece with no end is
// unfinished, and left out.
std::vector<std::string_view> split_stories(std::string_view text);

struct StoryScore {
  int64_t stories = 0, accepted = 0;
  double nats = 0;                   // -ln p summed over the accepted
  std::string_view first_refused{};  // a view of the scored text
  size_t first_refused_at = 0;       // characters of it that some story begins with
  double share() const { return stories == 0 ? 0 : double(accepted) / double(stories); }
};
// Of the finished stories in a text that a model wrote.
StoryScore score_stories(std::string_view text);

}  // namespace weft
