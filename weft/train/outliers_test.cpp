#include "weft/train/outliers.h"

#include <cmath>
#include <gtest/gtest.h>

#include "weft/base/json.h"
#include "weft/train/train_testing.h"

namespace weft::train {
namespace {

using testing::tiny_config;
using testing::Workshop;

TEST(RecentValues, CountsDeviationsAboveTheMean) {
  RecentValues recent;
  for (int i = 0; i < 31; ++i) recent.add(i % 2 ? 1 : 3);
  EXPECT_EQ(recent.deviations(1e9), 0);  // too few yet
  EXPECT_EQ(recent.deviations(std::nan("")), 0);
  recent.add(1);  // 16 times 1, 16 times 3: mean 2, deviation 1
  EXPECT_DOUBLE_EQ(recent.deviations(7), 5);
  EXPECT_DOUBLE_EQ(recent.deviations(-7), -9);
  EXPECT_EQ(recent.deviations(std::nan("")), INFINITY);
  EXPECT_EQ(recent.deviations(INFINITY), INFINITY);
  for (int i = 0; i < 128; ++i) recent.add(i % 2 ? 10 : 30);  // those before are forgotten
  EXPECT_EQ(recent.values().size(), RecentValues::most);
  EXPECT_DOUBLE_EQ(recent.deviations(50), 3);
  EXPECT_DOUBLE_EQ(RecentValues(recent.values()).deviations(50), 3);
}

TEST(RecentValues, EqualOnes) {
  const RecentValues zeros(std::vector<double>(40, 0.0)), ones(std::vector<double>(40, 1.0));
  EXPECT_EQ(zeros.deviations(1), 0);
  EXPECT_GT(ones.deviations(1.001), 1e6);
  EXPECT_LE(ones.deviations(1), 0);
}

std::vector<int64_t> skipped_steps(const std::string& run) {
  std::vector<int64_t> steps;
  std::istringstream lines(read_file(run + "/metrics.jsonl", 1 << 24));
  for (std::string line; std::getline(lines, line);) {
    const Json json = parse_json(line, "metrics.jsonl");
    if (json.contains("skipped")) steps.push_back(json["step"].get<int64_t>());
  }
  return steps;
}

// A low bar skips ordinary steps; none among the first 32, and the same ones when interrupted.
TEST(Outliers, AreSkippedTheSameOnAResume) {
  const Workshop shop;
  TrainConfig c = tiny_config();
  c.steps = 70, c.checkpoint_every = 25, c.eval_every = 0, c.schedule = "constant", c.lr = 1e-6;
  c.min_lr = 1e-7, c.skip_z = 0.5;
  const TrainResult whole = testing::train(c, shop, "whole");
  const std::vector<int64_t> skipped = skipped_steps(shop.directory / "whole");
  ASSERT_FALSE(skipped.empty());
  EXPECT_GT(skipped.front(), 32);
  const std::string run = shop.directory / "parts";
  Trainer::create(c, shop.data, run)->run({.stop_after = skipped.front()});
  Trainer::resume(run)->run({.stop_after = 60});
  EXPECT_EQ(Trainer::resume(run)->run().weights_sha256, whole.weights_sha256);
  EXPECT_EQ(skipped_steps(run), skipped);
  c.skip_z = 0;
  EXPECT_NE(testing::train(c, shop, "all").weights_sha256, whole.weights_sha256);
  c.skip_z = 1e5;  // nothing lies so far away: as if it were off
  const TrainResult lenient = testing::train(c, shop, "lenient");
  EXPECT_TRUE(skipped_steps(shop.directory / "lenient").empty());
  EXPECT_NEAR(*lenient.val_loss, *whole.val_loss, 0.1);
}

TEST(Outliers, ASkippedStepChangesNothing) {
  const Workshop shop;
  TrainConfig c = tiny_config();
  c.skip_z = 3, c.model.vocab = Dataset(shop.data).info().vocab;
  const Dataset data(shop.data);
  const State initial = initial_state(c.model, 1, default_device());
  const std::string before = weights_sha256(initial.params);
  const Samples samples(c, {{data.train()}});
  Stepper stepper(c, initial, default_device(), samples);
  double seen = 0;
  const auto outcome = stepper.run(0, 0, [&](double, double norm) {
    seen = norm;
    return false;
  });
  EXPECT_TRUE(outcome.skipped);
  EXPECT_EQ(outcome.grad_norm, seen);
  EXPECT_GT(seen, 0);
  EXPECT_EQ(weights_sha256(stepper.state().params), before);
  EXPECT_FALSE(stepper.run(0, 0, [](double, double) { return true; }).skipped);
  EXPECT_NE(weights_sha256(stepper.state().params), before);
}

}  // namespace
}  // namespace weft::train
