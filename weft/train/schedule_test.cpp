#include "weft/train/schedule.h"

#include <cmath>
#include <gtest/gtest.h>

namespace weft::train {
namespace {

// nanoGPT's get_lr(it) with the settings of its character-level configuration.
TEST(Schedule, CosineIsNanoGpts) {
  const Schedule s{.kind = "cosine", .lr = 1e-3, .min_lr = 1e-4, .warmup = 100, .steps = 2000};
  EXPECT_DOUBLE_EQ(learning_rate(s, 0), 1e-3 * 1 / 101);
  EXPECT_DOUBLE_EQ(learning_rate(s, 99), 1e-3 * 100 / 101);
  EXPECT_DOUBLE_EQ(learning_rate(s, 100), 1e-3);
  EXPECT_DOUBLE_EQ(learning_rate(s, 1050), (1e-3 + 1e-4) / 2);
  EXPECT_DOUBLE_EQ(learning_rate(s, 575), 1e-4 + 0.5 * (1 + std::sqrt(0.5)) * 9e-4);
  EXPECT_DOUBLE_EQ(learning_rate(s, 2000), 1e-4);
  EXPECT_DOUBLE_EQ(learning_rate(s, 9999), 1e-4);
}

TEST(Schedule, StableThenLinear) {
  const Schedule s{
      .kind = "wsd", .lr = 1, .min_lr = 0.1, .warmup = 9, .steps = 100, .decay_fraction = 0.2};
  EXPECT_DOUBLE_EQ(learning_rate(s, 4), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(s, 9), 1);
  EXPECT_DOUBLE_EQ(learning_rate(s, 79), 1);
  EXPECT_DOUBLE_EQ(learning_rate(s, 80), 1 - 0.9 / 20);
  EXPECT_DOUBLE_EQ(learning_rate(s, 89), 1 - 0.9 / 2);
  EXPECT_DOUBLE_EQ(learning_rate(s, 99), 0.1);
}

TEST(Schedule, ConstantAndRunsShorterThanTheirWarmUp) {
  EXPECT_EQ(learning_rate({.kind = "constant", .lr = 2, .steps = 10}, 9), 2);
  const Schedule s{.kind = "cosine", .lr = 1, .min_lr = 0.1, .warmup = 100, .steps = 10};
  EXPECT_DOUBLE_EQ(learning_rate(s, 9), 10.0 / 101);
}

}  // namespace
}  // namespace weft::train
