#include "weft/text/story_grammar_rules.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>

#include "weft/base/error.h"

namespace weft {
namespace {

constexpr std::string_view kTiny = R"(
@who(name, he):
  Mia, she
  Tom, he
  Ada, she
@what: kite | drum
start:
  [3] {+who} {saw} a {+what}. {Who.he} {kept} the {what}.
  Once {+who} slept.
saw: saw | [4] found
kept: kept | sold | lost
)";

// All texts of a small grammar, by drawing until no more turn up.
std::map<std::string, double> texts_of(const Grammar& grammar, int draws) {
  std::map<std::string, double> texts;
  for (int i = 0; i < draws; ++i) {
    const GrammarText text = grammar.generate(Philox{5}, uint64_t(i));
    texts.emplace(text.text, text.log_prob);
  }
  return texts;
}

TEST(GrammarRules, ProbabilitiesOfATinyGrammarSumToOne) {
  const Grammar grammar(kTiny);
  const std::map<std::string, double> texts = texts_of(grammar, 4000);
  EXPECT_EQ(texts.size(), 3u * 2 * 2 * 3 + 3);
  EXPECT_EQ(grammar.size().texts, 39);
  double sum = 0, nats = 0, characters = 0;
  for (const auto& text : texts) {
    const GrammarMatch match = grammar.match(text.first);
    ASSERT_TRUE(match.accepted) << text.first;
    const double p = std::exp(match.log_prob);
    sum += p, nats -= p * match.log_prob, characters += p * double(text.first.size());
  }
  EXPECT_NEAR(sum, 1, 1e-12);
  EXPECT_NEAR(grammar.size().nats, nats, 1e-12);
  EXPECT_NEAR(grammar.size().characters, characters, 1e-12);
  EXPECT_EQ(grammar.ambiguity(), "");
}

TEST(GrammarRules, WeightsAreProbabilities) {
  const Grammar grammar(kTiny);
  EXPECT_NEAR(std::exp(grammar.match("Once Tom slept.").log_prob), 1.0 / 4 / 3, 1e-15);
  EXPECT_NEAR(std::exp(grammar.match("Mia found a drum. She sold the drum.").log_prob),
              3.0 / 4 / 3 * 4 / 5 / 2 / 3, 1e-15);
  int once = 0;
  for (uint64_t i = 0; i < 4000; ++i) once += grammar.generate(Philox{1}, i).text[0] == 'O';
  EXPECT_NEAR(once / 4000.0, 0.25, 0.03);
}

TEST(GrammarRules, WhatIsRememberedMustAgree) {
  const Grammar grammar(kTiny);
  EXPECT_TRUE(grammar.match("Tom saw a kite. He lost the kite.").accepted);
  EXPECT_FALSE(grammar.match("Tom saw a kite. She lost the kite.").accepted);
  EXPECT_FALSE(grammar.match("Tom saw a kite. He lost the drum.").accepted);
  EXPECT_EQ(grammar.match("Tom saw a kite. He lost the drum.").matched, 28u);
}

TEST(GrammarRules, WhatIsChosenAgainReplacesWhatWasRemembered) {
  const Grammar grammar("@n: a | b\nstart: {+n}{then}{n}\nthen: {+n}!{n} | {+n}?{n}");
  EXPECT_TRUE(grammar.match("ab!bb").accepted);
  EXPECT_TRUE(grammar.match("ab?bb").accepted);  // after a first choice that did not fit
  EXPECT_FALSE(grammar.match("ab!ba").accepted);
  EXPECT_FALSE(grammar.match("ab?ab").accepted);
  EXPECT_NEAR(grammar.size().nats, std::log(8), 1e-12);
}

TEST(GrammarRules, LineEnds) {
  const Grammar grammar("start: one\\ntwo");
  EXPECT_EQ(grammar.generate(Philox{1}, 0).text, "one\ntwo");
}

TEST(GrammarRules, FindsAmbiguity) {
  const auto ambiguity = [](const char* table) { return Grammar(table).ambiguity(); };
  EXPECT_EQ(ambiguity("start: a | b"), "");
  EXPECT_EQ(ambiguity("start: {x} end\nx: sun | sunny"), "x");
  EXPECT_EQ(ambiguity("start: same | same"), "start");
  EXPECT_EQ(ambiguity("start: {x}{y} | {y}{x}\nx: a | b\ny: c | ca"), "y");
  EXPECT_EQ(ambiguity("start: {x}y | ay\nx: a | b"), "start");
  EXPECT_EQ(ambiguity("@n: Al | Alan\nstart: {+n} ran"), "n");
  // A memory that both recall is the same on both sides; one chosen inside need not be.
  EXPECT_EQ(ambiguity("@n: a | b\nstart: {+n}{x}\nx: {n}c | {n}d"), "");
  EXPECT_EQ(ambiguity("@n: a | b\nstart: {+n}{x}\nx: {n}c | bcd"), "x");
  EXPECT_EQ(ambiguity("@n: a | b\nstart: {+n}c | bc"), "start");
  EXPECT_EQ(ambiguity("@n: a | b\nstart: {+n}c{n} | acb"), "");
}

TEST(GrammarRules, RefusesABrokenTable) {
  const auto refused = [](const char* table) {
    try {
      const Grammar grammar(table);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::internal;
    }
    return false;
  };
  EXPECT_FALSE(refused("start: a"));
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("  a choice of nothing"));
  EXPECT_TRUE(refused("start"));
  EXPECT_TRUE(refused("start:"));
  EXPECT_TRUE(refused("start: a\nstart: b"));
  EXPECT_TRUE(refused("start: {nothing}"));
  EXPECT_TRUE(refused("start: {open"));
  EXPECT_TRUE(refused("start: {}"));
  EXPECT_TRUE(refused("start: [0] a"));
  EXPECT_TRUE(refused("start: a {start}"));                        // would never end
  EXPECT_TRUE(refused("x: a\nstart: {x}\ny: {x}"));                // y uses what stands above it
  EXPECT_TRUE(refused("@n: a | b\nstart: {n}"));                   // recalled before it is chosen
  EXPECT_TRUE(refused("@n: a | b\nstart: {x} {n}\nx: {+n} | c"));  // not chosen on every way
  EXPECT_FALSE(refused("@n: a | b\nstart: {+n} {+n}"));
  EXPECT_TRUE(refused("@n: a | b\nstart: {+n} {n.he}"));
  EXPECT_TRUE(refused("@n(x, y):\n  a\nstart: {+n}"));
  EXPECT_TRUE(refused("start: {X}\nx: a"));  // only what is recalled can be capitalised
}

}  // namespace
}  // namespace weft
