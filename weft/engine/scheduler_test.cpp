#include "weft/engine/scheduler.h"

#include <gtest/gtest.h>

#include "weft/base/error.h"

namespace weft::engine {
namespace {

Sequence prompt(size_t tokens) {
  Sequence s;
  s.tokens.resize(tokens);
  return s;
}

// The next step as {slot, tokens} pairs; computed, and each that reaches its end gets one token.
std::vector<std::pair<int, int>> step(Scheduler& scheduler) {
  std::vector<std::pair<int, int>> seen;
  std::vector<Sequence*> chosen;
  for (const Work& work : scheduler.schedule()) {
    seen.emplace_back(work.sequence->slot, work.tokens);
    if (work.reaches_end()) chosen.push_back(work.sequence);
  }
  scheduler.commit();
  for (Sequence* s : chosen) s->tokens.push_back(0);
  return seen;
}

using Step = std::vector<std::pair<int, int>>;

TEST(Scheduler, PromptsAreCutByTheBudget) {
  Scheduler scheduler(4, 8);
  Sequence a = prompt(5), b = prompt(10), c = prompt(2);
  for (Sequence* s : {&a, &b, &c}) scheduler.add(*s);
  EXPECT_EQ(step(scheduler), (Step{{0, 5}, {1, 3}}));
  EXPECT_EQ(step(scheduler), (Step{{0, 1}, {1, 7}}));  // a generates, the prompts go on
  EXPECT_EQ(step(scheduler), (Step{{0, 1}, {1, 1}, {2, 2}}));
  EXPECT_EQ(step(scheduler), (Step{{0, 1}, {1, 1}, {2, 1}}));
}

TEST(Scheduler, AFreedSlotGoesToTheNextInTheQueue) {
  Scheduler scheduler(2, 4);
  Sequence a = prompt(1), b = prompt(1), c = prompt(1), d = prompt(1);
  for (Sequence* s : {&a, &b, &c, &d}) scheduler.add(*s);
  EXPECT_EQ(step(scheduler), (Step{{0, 1}, {1, 1}}));
  EXPECT_EQ(c.slot, -1);
  scheduler.finish(a);
  EXPECT_EQ(a.slot, -1);
  EXPECT_EQ(step(scheduler), (Step{{1, 1}, {0, 1}}));
  EXPECT_EQ(c.slot, 0);
  for (Sequence* s : {&b, &c}) scheduler.finish(*s);
  EXPECT_EQ(step(scheduler), (Step{{0, 1}}));
  scheduler.finish(d);
  EXPECT_EQ(step(scheduler), Step{});
}

Sequence sequence_of(std::vector<int32_t> tokens) {
  Sequence s;
  s.tokens = std::move(tokens);
  return s;
}

TEST(Scheduler, WhatASlotHoldsIsNotComputedAgain) {
  Scheduler scheduler(3, 16);
  Sequence a = sequence_of({1, 2, 3, 4}), b = sequence_of({1, 2, 9}), c = sequence_of({7});
  for (Sequence* s : {&a, &b, &c}) scheduler.add(*s);
  step(scheduler);
  for (Sequence* s : {&a, &b, &c}) scheduler.finish(*s);

  Sequence longer = sequence_of({1, 2, 9, 5, 6}), same = sequence_of({1, 2, 3, 4}),
           other = sequence_of({8, 7});
  for (Sequence* s : {&longer, &same, &other}) scheduler.add(*s);
  EXPECT_EQ(step(scheduler), (Step{{0, 1}, {1, 2}, {2, 2}}));  // same computes its last token
  EXPECT_EQ(longer.slot, 1);
  EXPECT_EQ(longer.reused, 3);
  EXPECT_EQ(same.slot, 0);
  EXPECT_EQ(same.reused, 3);
  EXPECT_EQ(other.reused, 0);
}

// What was chosen last has no keys and values yet.
TEST(Scheduler, OnlyWhatWasComputedIsKept) {
  Scheduler scheduler(1, 16);
  Sequence a = sequence_of({1, 2});
  scheduler.add(a);
  step(scheduler);  // adds the token 0
  scheduler.finish(a);
  Sequence b = sequence_of({1, 2, 0, 0});
  scheduler.add(b);
  EXPECT_EQ(step(scheduler), (Step{{0, 2}}));
}

TEST(Scheduler, ASequenceThatWaitsCanBeTakenOut) {
  Scheduler scheduler(1, 16);
  Sequence a = prompt(1), b = prompt(1), c = prompt(1);
  for (Sequence* s : {&a, &b, &c}) scheduler.add(*s);
  step(scheduler);
  scheduler.finish(b);
  scheduler.finish(a);
  step(scheduler);
  EXPECT_EQ(c.slot, 0);
}

TEST(Scheduler, MistakesOfTheCallerAreCaught) {
  EXPECT_THROW(Scheduler(4, 3), Error);
  EXPECT_THROW(Scheduler(0, 3), Error);
  Scheduler scheduler(1, 4);
  Sequence empty, one = prompt(1);
  EXPECT_THROW(scheduler.add(empty), Error);
  EXPECT_THROW(scheduler.finish(one), Error);
  scheduler.add(one);
  scheduler.schedule();
  scheduler.commit();
  EXPECT_THROW(scheduler.schedule(), Error);  // nothing was added, nothing finished
}

}  // namespace
}  // namespace weft::engine
