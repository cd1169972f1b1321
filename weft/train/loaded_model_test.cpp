#include "weft/train/loaded_model.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "weft/train/train_testing.h"

namespace weft::train {
namespace {

using testing::tiny_config;
using testing::tiny_llama;
using testing::train;
using testing::Workshop;

TEST(LoadedModel, ExportedRunIsTheRun) {
  const Workshop shop;
  for (TrainConfig c : {tiny_config(), tiny_llama()}) {
    const std::string name = c.model.architecture, run = shop.directory / name;
    const std::string whole = shop.directory / (name + "-whole"),
                      parts = shop.directory / (name + "-parts");
    c.dtype = "f32";
    const TrainResult r = train(c, shop, name);
    const LoadedModel model = load_model(run);
    EXPECT_EQ(model.step, 12);
    ASSERT_TRUE(model.run);
    export_model(run, model, whole);
    export_model(run, model, parts, {.most_bytes = 5000});
    for (const std::string& directory : {whole, parts}) {
      const LoadedModel again = load_model(directory);
      EXPECT_FALSE(again.run);
      EXPECT_EQ(again.dtype, "f32");
      EXPECT_EQ(weights_sha256(again.params), r.weights_sha256);
      EXPECT_EQ(again.config.context, c.model.context);
      check_same_tokenizer(*again.tokenizer, directory, Dataset(shop.data).tokenizer(), shop.data);
    }
    EXPECT_TRUE(path_exists(whole + "/tokenizer_config.json"));
    EXPECT_ERROR(user, "exists already", export_model(run, model, whole));
    EXPECT_ERROR(user, "it has no best weights", load_model(whole, Weights::best));
  }
}

// A run that starts from an export without steps of its own has its weights; it goes on the same
// whether it was stopped before its first checkpoint or not.
TEST(LoadedModel, TrainingGoesOnFromIt) {
  const Workshop shop;
  for (TrainConfig c : {tiny_config(), tiny_llama()}) {
    const std::string first = c.model.architecture + std::string("-first"),
                      exported = shop.directory / (first + "-export");
    const auto created = [&](const std::string& name, const std::string& init) {
      TrainConfig other = c;
      other.model = {.context = 0, .dropout = 0.1};  // the sizes come from `init`
      other.checkpoint_every = 0, other.eval_every = 0;
      return Trainer::create(other, shop.data, shop.directory / name, posix_file_system(), init);
    };
    const TrainResult r = train(c, shop, first);
    export_model(shop.directory / first, load_model(shop.directory / first), exported);
    const std::string second = first + "-second", third = first + "-third";
    const auto trainer = created(second, exported);
    EXPECT_EQ(weights_sha256(trainer->params()), r.weights_sha256);
    EXPECT_EQ(trainer->config().model.context, c.model.context);
    const TrainResult whole = trainer->run();
    EXPECT_NE(whole.weights_sha256, r.weights_sha256);
    created(third, exported).reset();  // no checkpoint yet
    EXPECT_EQ(Trainer::resume(shop.directory / third)->run().weights_sha256, whole.weights_sha256);
    created(third + "-run", shop.directory / first);
    created(third + "-moved", exported).reset();
    std::filesystem::remove_all(exported);
    std::filesystem::copy(shop.directory / second, exported,
                          std::filesystem::copy_options::recursive);
    EXPECT_ERROR(data, "has other weights than the run was started from",
                 Trainer::resume(shop.directory / (third + "-moved")));
  }
}

TEST(LoadedModel, ShorterContextCutsTheTableOfPositions) {
  const Workshop shop;
  train(tiny_config(), shop, "run");
  TrainConfig c = tiny_config();
  c.model.context = 8;
  const auto trainer = Trainer::create(c, shop.data, shop.directory / "short", posix_file_system(),
                                       shop.directory / "run");
  EXPECT_EQ(trainer->params().at("positions.weight").value().shape(), (Shape{8, 32}));
  c.model.context = 17;
  EXPECT_ERROR(user, "context must be at most the 16 of the model to start from, got 17",
               Trainer::create(c, shop.data, shop.directory / "long", posix_file_system(),
                               shop.directory / "run"));
}

TEST(LoadedModel, WhatDoesNotBelongTogetherIsRefused) {
  const Workshop shop;
  const std::string bytes = shop.directory / "bytes", run = shop.directory / "run",
                    out = shop.directory / "export";
  write_dataset(make_corpus(story_grammar(), 1, 3000), make_corpus(story_grammar(), 2, 1000),
                "byte", bytes);
  train(tiny_config(), shop, "run");
  EXPECT_ERROR(
      data, "has the tokens of another tokenizer",
      Trainer::create(tiny_config(), bytes, shop.directory / "x", posix_file_system(), run));
  export_model(run, load_model(run), out);
  std::filesystem::copy_file(bytes + "/tokenizer.json", out + "/tokenizer.json",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_ERROR(data, "has 256 tokens, but the model only", load_model(out));
  std::filesystem::remove(out + "/tokenizer.json");
  EXPECT_ERROR(resource, "tokenizer.json is missing", load_model(out));
  EXPECT_ERROR(resource, "there is no directory", load_model(shop.directory / "nothing"));
}

}  // namespace
}  // namespace weft::train
