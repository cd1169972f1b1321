#include "weft/train/trainer.h"

#include <cmath>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "weft/train/train_testing.h"

namespace weft::train {
namespace {

using testing::tiny_config;
using testing::train;
using testing::UseDevice;
using testing::Workshop;

TEST(Trainer, LossFalls) {
  const Workshop shop;
  TrainConfig c = tiny_config();
  c.steps = 60;
  double first = 0, last = 0;
  RunOptions options;
  options.on_step = [&](const StepReport& r) { (r.step == 1 ? first : last) = r.loss; };
  const TrainResult result = train(c, shop, "run", options);
  EXPECT_NEAR(first, std::log(double(Dataset(shop.data).info().vocab)), 0.3);
  EXPECT_LT(last, first - 0.5);
  EXPECT_LT(*result.val_loss, first - 0.5);
}

}  // namespace
}  // namespace weft::train
