// Whole runs on documents and mixtures, and with recomputed blocks.
#include <filesystem>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "weft/train/train_testing.h"

namespace weft::train {
namespace {

using testing::tiny_config, testing::tiny_llama, testing::train, testing::UseDevice,
    testing::Workshop;

TEST(Trainer, RecomputedBlocksGiveTheSameWeightsInLessMemory) {
  const Workshop shop;
  for (const std::string dtype : {"bf16", "f32"})
    for (TrainConfig c : {tiny_config(), tiny_llama()})
      for (const int64_t parts : {1, 2}) {
        c.dtype = dtype, c.micro_batches = parts;
        c.model.layers = 6, c.model.dropout = 0.1, c.batch = 16, c.steps = 4;
        const std::string name = format("{}-{}-{}", dtype, c.model.architecture, parts);
        const TrainResult kept = train(c, shop, name);
        c.recompute = true;
        const TrainResult again = train(c, shop, name + "-recomputed");
        EXPECT_EQ(again.weights_sha256, kept.weights_sha256) << name;
        EXPECT_EQ(again.val_loss, kept.val_loss);
        if (parts > 1) continue;  // the step's parts are not counted alone
        EXPECT_LT(again.planned_peak_bytes, kept.planned_peak_bytes) << name;
        EXPECT_LT(again.arena_bytes, kept.arena_bytes * 3 / 4) << name;
      }
}

// Operations that are done twice do not count twice as the model's.
TEST(Trainer, RecomputationIsNoWorkOfTheModel) {
  const Workshop shop;
  TrainConfig c = tiny_llama();
  const double flops = Trainer::create(c, shop.data, shop.directory / "a")->stepper().model_flops();
  c.recompute = true;
  EXPECT_EQ(Trainer::create(c, shop.data, shop.directory / "b")->stepper().model_flops(), flops);
}

// Two directories of stories, each story a document.
std::string story_mixture(const Workshop& shop) {
  const auto write = [&](const char* name, uint64_t seed) {
    const std::string train = make_corpus(story_grammar(), seed, 4000),
                      val = make_corpus(story_grammar(), seed, 900, CorpusSplit::validation);
    const std::vector<std::string_view> trains = split_corpus(train), vals = split_corpus(val);
    write_dataset(Texts(trains), Texts(vals), *make_tokenizer("byte", 0, train, val),
                  shop.directory / name);
  };
  write("one", 1), write("two", 2);
  return format("{}:3,{}:1", shop.directory / "one", shop.directory / "two");
}

TEST(Trainer, PackedMixturesAreResumedOnAnyThreadsBitForBit) {
  const Workshop shop;
  const std::string data = story_mixture(shop);
  for (const int64_t parts : {1, 2}) {
    TrainConfig c = tiny_llama();
    c.model.context = 90, c.model.dropout = 0.1, c.micro_batches = parts, c.grad_clip = 0.1;
    const std::string name = shop.directory / format("run-{}", parts);
    const TrainResult whole = Trainer::create(c, data, name)->run();
    {
      const UseDevice two_threads(2);
      Trainer::create(c, data, name + "-parts")->run({.stop_after = 7});
    }
    const TrainResult resumed = Trainer::resume(name + "-parts")->run();
    EXPECT_EQ(resumed.weights_sha256, whole.weights_sha256);
    EXPECT_EQ(resumed.val_loss, whole.val_loss);
    c.rows = "crops";
    EXPECT_NE(Trainer::create(c, data, name + "-crops")->run().weights_sha256,
              whole.weights_sha256);
  }
  const std::string run = shop.directory / "run-1";
  EXPECT_ERROR(user, "started with 2 data directories, so --data must name as many, got 1",
               Trainer::resume(run, {.data = shop.directory / "one"}));
  std::filesystem::rename(shop.directory / "two", shop.directory / "moved");
  EXPECT_ERROR(resource, "there is no directory", Trainer::resume(run));
  const auto moved =
      Trainer::resume(run, {.data = (shop.directory / "one") + "," + (shop.directory / "moved")});
  EXPECT_EQ(moved->data().parts()[0].weight, 3);
}

}  // namespace
}  // namespace weft::train
