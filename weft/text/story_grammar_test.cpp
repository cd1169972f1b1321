#include "weft/text/story_grammar.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "weft/base/error.h"

namespace weft {
namespace {

constexpr int kSamples = 3000;

const std::vector<GrammarText>& samples() {
  static const std::vector<GrammarText> all = [] {
    std::vector<GrammarText> made;
    for (uint64_t i = 0; i < kSamples; ++i) made.push_back(generate_text(story_grammar(), 1, i));
    return made;
  }();
  return all;
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> all(1);
  for (const char c : text) {
    if (std::isalpha(uint8_t(c)) != 0) {
      all.back() += c;
    } else if (!all.back().empty()) {
      all.emplace_back();
    }
  }
  return all;
}

// The text with the n-th `from` replaced, or empty if it has less.
std::string replaced(std::string text, const std::string& from, const std::string& to, int n = 0) {
  size_t at = text.find(from);
  while (n-- > 0 && at != text.npos) at = text.find(from, at + 1);
  if (at == text.npos) return {};
  return text.replace(at, from.size(), to);
}

bool is_story(std::string_view text) {
  return story_grammar().match(text).accepted;
}

TEST(StoryGrammar, HasOneDerivationPerText) {
  EXPECT_EQ(story_grammar().ambiguity(), "");
}

TEST(StoryGrammar, AcceptsEveryStoryWithItsProbability) {
  for (const GrammarText& story : samples()) {
    const GrammarMatch match = story_grammar().match(story.text);
    ASSERT_TRUE(match.accepted) << story.text;
    ASSERT_EQ(match.log_prob, story.log_prob) << story.text;
  }
}

TEST(StoryGrammar, IsAPureFunctionOfSeedAndIndex) {
  EXPECT_EQ(generate_text(story_grammar(), 1, 7).text, samples()[7].text);
  EXPECT_NE(generate_text(story_grammar(), 2, 7).text, samples()[7].text);
  // Frozen: a change of the table changes what a recorded run was trained on.
  EXPECT_EQ(
      generate_text(story_grammar(), 7, 0).text,
      "One warm evening, Sam walked to the mill. More than anything, Sam wanted a silver bell. "
      "But the baker asked seven coins for the bell. So Sam picked apples all summer. \"You "
      "worked hard, Sam. Here is your bell!\" Sam kept the bell for many years.");
}

TEST(StoryGrammar, StoriesDiffer) {
  std::set<std::string> different;
  for (const GrammarText& story : samples()) different.insert(story.text);
  EXPECT_GE(different.size(), size_t(kSamples * 0.99));
}

TEST(StoryGrammar, StoriesAreShortPlainText) {
  std::set<char> characters;
  std::set<std::string> vocabulary;
  for (const GrammarText& story : samples()) {
    EXPECT_GE(story.text.size(), 120u) << story.text;
    EXPECT_LE(story.text.size(), 384u) << story.text;
    EXPECT_EQ(story.text.find("  "), std::string::npos) << story.text;
    characters.insert(story.text.begin(), story.text.end());
    for (const std::string& word : words(story.text)) vocabulary.insert(word);
  }
  for (const char c : characters) EXPECT_TRUE(c >= ' ' && c <= '~') << int(c);
  EXPECT_LE(characters.size(), 60u);
  EXPECT_LE(vocabulary.size(), 400u);
}

// Names are said again soon, so that a model need not look back far.
TEST(StoryGrammar, NamesRecurWithinAContext) {
  for (const GrammarText& story : samples()) {
    for (const Grammar::Memory& memory : story_grammar().memories()) {
      if (memory.name != "hero" && memory.name != "pet") continue;
      for (const auto& entry : memory.entries) {
        size_t last = story.text.find(entry[0]);
        if (last == std::string::npos) continue;
        for (size_t at = last; at != std::string::npos; at = story.text.find(entry[0], at + 1)) {
          EXPECT_LE(at - last, 220u) << entry[0] << ": " << story.text;
          last = at;
        }
      }
    }
  }
}

TEST(StoryGrammar, RefusesAnotherName) {
  int tried = 0;
  for (const GrammarText& story : samples()) {
    for (const auto& hero : story_grammar().memories()[0].entries) {
      const std::string& other = hero[0] == "Mia" ? "Nora" : "Mia";
      const std::string text = replaced(story.text, hero[0], other, 1);  // the second time
      if (text.empty()) continue;
      EXPECT_FALSE(is_story(text)) << text;
      ++tried;
    }
  }
  EXPECT_GT(tried, kSamples / 2);
}

TEST(StoryGrammar, RefusesAnotherPronounOrThing) {
  const std::map<std::string, std::string> wrong{
      {" he ", " she "}, {" she ", " he "},    {" his ", " her "}, {" him ", " her "},
      {"She ", "He "},   {"He ", "She "},      {" kite", " drum"}, {" book", " lamp"},
      {" red ", " up "}, {" blue ", " bluer "}};
  std::map<std::string, int> tried;
  for (const GrammarText& story : samples()) {
    for (const auto& change : wrong) {
      // A thing may change where it is chosen, and not where it is recalled.
      const bool thing = change.second == " drum" || change.second == " lamp";
      const std::string text = replaced(story.text, change.first, change.second, thing);
      if (text.empty()) continue;
      EXPECT_FALSE(is_story(text)) << text;
      ++tried[change.first];
    }
  }
  for (const auto& change : wrong) EXPECT_GT(tried[change.first], 10) << change.first;
}

TEST(StoryGrammar, RefusesAMissingWordOrLetter) {
  for (int i = 0; i < kSamples; i += 10) {
    const std::string& story = samples()[size_t(i)].text;
    for (size_t space = story.find(' '); space != story.npos; space = story.find(' ', space + 1)) {
      const size_t next = story.find(' ', space + 1);
      if (next == story.npos) break;
      const std::string text = story.substr(0, space) + story.substr(next);
      EXPECT_FALSE(is_story(text)) << text;
    }
    for (size_t letter = 0; letter < story.size(); letter += 7) {
      std::string text = story;
      text.erase(letter, 1);
      EXPECT_FALSE(is_story(text)) << text;
    }
    EXPECT_FALSE(is_story(story + " "));
  }
}

TEST(StoryGrammar, SaysHowFarATextIsRight) {
  const std::string& story = samples()[0].text;
  const GrammarMatch cut = story_grammar().match(std::string_view(story).substr(0, 100));
  EXPECT_FALSE(cut.accepted);
  EXPECT_EQ(cut.matched, 100u);
  std::string broken = story;
  broken[60] = '#';
  EXPECT_EQ(story_grammar().match(broken).matched, 60u);
  EXPECT_EQ(story_grammar().match("").matched, 0u);
  EXPECT_FALSE(is_story(""));
}

// Mean and standard error of what the samples say, beside the exact value.
TEST(StoryGrammar, EntropyAndLengthAgreeWithSamples) {
  double nats = 0, squares = 0, characters = 0;
  for (const GrammarText& story : samples()) {
    nats -= story.log_prob, squares += story.log_prob * story.log_prob;
    characters += double(story.text.size());
  }
  nats /= kSamples, squares /= kSamples, characters /= kSamples;
  const double error = std::sqrt((squares - nats * nats) / kSamples);
  const GrammarSize exact = story_grammar().size();
  EXPECT_NEAR(exact.nats, nats, 4 * error);
  EXPECT_LT(error, 0.1);
  EXPECT_NEAR(exact.characters, characters, 4);
  EXPECT_NEAR(nats_per_character(story_grammar()), exact.nats / (exact.characters + 2), 1e-12);
  EXPECT_GE(std::log(exact.texts), exact.nats);
}

TEST(StoryGrammar, CorpusIsWholeStoriesAndTheSplitsDiffer) {
  const std::string train = make_corpus(story_grammar(), 3, 200000);
  const std::string validation = make_corpus(story_grammar(), 3, 200000, CorpusSplit::validation);
  EXPECT_LE(train.size(), 200000u);
  EXPECT_GT(train.size(), 199000u);
  EXPECT_TRUE(train.ends_with("\n\n"));
  EXPECT_EQ(make_corpus(story_grammar(), 3, 100000),
            train.substr(0, make_corpus(story_grammar(), 3, 100000).size()));
  EXPECT_GT(split_corpus(train).size(), 700u);
  std::set<std::string_view> seen;
  for (const std::string_view story : split_corpus(train)) seen.insert(story);
  for (const std::string_view story : split_corpus(validation)) EXPECT_EQ(seen.count(story), 0u);
}

TEST(StoryGrammar, SplitLeavesOutTheUnfinishedEnd) {
  using Views = std::vector<std::string_view>;
  EXPECT_EQ(split_corpus("a\n\nb\nc\n\nunfinished"), (Views{"a\n\n", "b\nc\n\n"}));
  EXPECT_EQ(split_corpus("\n\na\n\n\n\n"), (Views{"a\n\n"}));
  EXPECT_EQ(split_corpus(""), (Views{}));
}

}  // namespace
}  // namespace weft
