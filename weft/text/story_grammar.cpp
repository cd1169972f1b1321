#include "weft/text/story_grammar.h"

#include <algorithm>

#include "weft/text/story_grammar_table.h"

namespace weft {
namespace {

constexpr uint64_t kPath = hash_path("text/story_grammar");
constexpr uint64_t kValidationStart = uint64_t(1) << 63;  // index of the first validation story

}  // namespace

const Grammar& story_grammar() {
  static const Grammar grammar(kStoryGrammar);
  return grammar;
}

GrammarText generate_story(uint64_t seed, uint64_t index) {
  return story_grammar().generate(Philox{random_key(seed, kPath)}, index);
}

std::optional<double> story_log_prob(std::string_view text) {
  const GrammarMatch match = story_grammar().match(text);
  if (!match.accepted) return std::nullopt;
  return match.log_prob;
}

StoryEntropy story_entropy() {
  const GrammarSize size = story_grammar().size();
  return {size.nats, size.characters, size.nats / (size.characters + double(kStoryEnd.size())),
          size.texts};
}

std::string make_story_corpus(uint64_t seed, size_t bytes, StorySplit split) {
  std::string corpus;
  corpus.reserve(bytes);
  for (uint64_t index = split == StorySplit::train ? 0 : kValidationStart;; ++index) {
    const std::string story = generate_story(seed, index).text;
    if (corpus.size() + story.size() + kStoryEnd.size() > bytes) return corpus;
    corpus += story, corpus += kStoryEnd;
  }
}

std::vector<std::string_view> split_stories(std::string_view text) {
  std::vector<std::string_view> stories;
  for (size_t start = 0;;) {
    const size_t end = text.find(kStoryEnd, start);
    if (end == text.npos) return stories;
    if (end > start) stories.push_back(text.substr(start, end - start));
    start = end + kStoryEnd.size();
  }
}

StoryScore score_stories(std::string_view text) {
  StoryScore score;
  for (const std::string_view story : split_stories(text)) {
    const GrammarMatch match = story_grammar().match(story);
    ++score.stories;
    if (match.accepted) {
      ++score.accepted, score.nats -= match.log_prob;
    } else if (score.first_refused.empty()) {
      score.first_refused = story, score.first_refused_at = match.matched;
    }
  }
  return score;
}

}  // namespace weft
