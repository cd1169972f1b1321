#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <set>

#include "weft/text/dialogue.h"
#include "weft/text/story_grammar.h"

namespace weft {
namespace {

constexpr int kSamples = 3000;

const std::vector<GrammarText>& samples() {
  static const std::vector<GrammarText> all = [] {
    std::vector<GrammarText> made;
    for (uint64_t i = 0; i < kSamples; ++i) made.push_back(generate_text(primer_grammar(), 1, i));
    return made;
  }();
  return all;
}

bool is_right(std::string_view text) {
  return primer_grammar().match(text).accepted;
}
bool is_dialogue(const std::string& text) {
  return text.starts_with("User: ");
}

std::vector<Turn> turns_of(std::string_view text) {
  std::vector<Turn> turns;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find(kTurnEnd));
    const Speaker speaker = turns.size() % 2 == 0 ? Speaker::user : Speaker::assistant;
    const size_t name = speaker_name(speaker).size() + 2;
    turns.push_back({speaker, std::string(line.substr(std::min(name, line.size())))});
    text.remove_prefix(std::min(line.size() + kTurnEnd.size(), text.size()));
  }
  return turns;
}

TEST(Primer, HasOneDerivationPerText) {
  EXPECT_EQ(primer_grammar().ambiguity(), "");
}

TEST(Primer, AcceptsEveryTextWithItsProbability) {
  for (const GrammarText& text : samples()) {
    const GrammarMatch match = primer_grammar().match(text.text);
    ASSERT_TRUE(match.accepted) << text.text;
    ASSERT_EQ(match.log_prob, text.log_prob) << text.text;
  }
}

TEST(Primer, IsAPureFunctionOfSeedAndIndex) {
  EXPECT_EQ(generate_text(primer_grammar(), 1, 7).text, samples()[7].text);
  EXPECT_NE(generate_text(primer_grammar(), 2, 7).text, samples()[7].text);
}

// Mean and standard error of what the samples say, beside the exact value.
TEST(Primer, EntropyAgreesWithSamples) {
  double nats = 0, squares = 0;
  for (const GrammarText& text : samples())
    nats -= text.log_prob, squares += text.log_prob * text.log_prob;
  nats /= kSamples, squares /= kSamples;
  const double error = std::sqrt((squares - nats * nats) / kSamples);
  EXPECT_NEAR(primer_grammar().size().nats, nats, 4 * error);
  EXPECT_LT(error, 0.01 * nats);
}

TEST(Primer, TwoOfFiveAreStoriesTheOthersDialogues) {
  int dialogues = 0;
  std::set<std::string> different;
  for (const GrammarText& text : samples()) {
    if (different.insert(text.text).second && is_dialogue(text.text)) ++dialogues;
    EXPECT_EQ(is_dialogue(text.text), !story_grammar().match(text.text).accepted) << text.text;
    EXPECT_LE(text.text.size(), 900u) << text.text;  // fits into a context of 256 tokens
  }
  EXPECT_NEAR(dialogues, kSamples * 0.6, 150);
  EXPECT_GE(different.size(), size_t(kSamples * 0.95));
}

TEST(Primer, DialoguesHaveTheFixedForm) {
  for (const GrammarText& text : samples()) {
    if (!is_dialogue(text.text)) continue;
    const std::vector<Turn> turns = turns_of(text.text);
    EXPECT_GE(turns.size(), 4u) << text.text;
    EXPECT_EQ(turns.size() % 2, 0u) << text.text;
    EXPECT_EQ(dialogue_text(turns), text.text + std::string(kDialogueEnd));
  }
}

TEST(Primer, RefusesAWrongSum) {
  int tried = 0;
  for (const GrammarText& text : samples()) {
    const size_t is = text.text.find(" is ", std::min(text.text.find(" plus "), text.text.size()));
    if (!is_dialogue(text.text) || is == std::string::npos) continue;
    std::string wrong = text.text;
    char& digit = wrong[is + 4];
    digit = digit == '9' ? '1' : char(digit + 1);
    EXPECT_FALSE(is_right(wrong)) << wrong;
    ++tried;
  }
  EXPECT_GT(tried, kSamples / 5);
}

TEST(Primer, RefusesAWrongName) {
  int tried = 0;
  for (const GrammarText& text : samples()) {
    const std::string asked = "Your name is ";
    const size_t at = text.text.find(asked);
    if (at == std::string::npos) continue;
    const bool mia = text.text.compare(at + asked.size(), 3, "Mia") == 0;
    const std::string wrong = text.text.substr(0, at + asked.size()) + (mia ? "Tom" : "Mia") +
                              text.text.substr(text.text.find('.', at));
    EXPECT_FALSE(is_right(wrong)) << wrong;
    ++tried;
  }
  EXPECT_GT(tried, 20);
}

TEST(Primer, SumsAreThoseOfTheDialogues) {
  const std::vector<Sum> sums = primer_sums();
  EXPECT_EQ(sums.size(), 50u * 50 + 20 * 21 / 2);
  EXPECT_EQ(sums[0].question, "What is 1 plus 1?");
  EXPECT_EQ(sums[0].answer, "1 plus 1 is 2.");
  for (size_t i = 0; i < sums.size(); i += 100) {
    const std::vector<Turn> turns{{Speaker::user, sums[i].question},
                                  {Speaker::assistant, sums[i].answer},
                                  {Speaker::user, "Thank you!"},
                                  {Speaker::assistant, "You are welcome!"}};
    const std::string text = dialogue_text(turns);
    EXPECT_TRUE(is_right(text.substr(0, text.size() - kDialogueEnd.size()))) << text;
  }
}

}  // namespace
}  // namespace weft
