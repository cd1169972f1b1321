#include "weft/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/emulated_tiles.h"
#include "tests/expect_error.h"
#include "weft/base/json.h"
#include "weft/train/train_testing.h"

namespace weft::train {
namespace {

using testing::tiny_config;
using testing::tiny_llama;
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
  EXPECT_EQ(result.step, 60);
  EXPECT_TRUE(result.finished);
  EXPECT_GT(result.tokens_per_second, 0);
}

// ---- the same numbers

struct Recipe {
  const char *model, *optimizer, *dtype;
};

TEST(Trainer, SameWeightsOnAnyThreadsAndInstructionSets) {
  const Workshop shop;
  for (const Recipe& recipe : {Recipe{"gpt2", "adamw", "bf16"}, Recipe{"gpt2", "adamw", "f32"},
                               Recipe{"gpt2", "muon", "bf16"}, Recipe{"llama", "adamw", "bf16"},
                               Recipe{"llama", "adamw", "f32"}, Recipe{"llama", "muon", "bf16"}}) {
    TrainConfig c = recipe.model == std::string("gpt2") ? tiny_config() : tiny_llama();
    c.dtype = recipe.dtype, c.optimizer = recipe.optimizer;
    c.model.dropout = 0.1, c.checkpoint_every = 0, c.eval_every = 0, c.steps = 6;
    const std::string name = format("{}-{}-{}", recipe.model, recipe.optimizer, recipe.dtype);
    const TrainResult reference = train(c, shop, name + "-once");
    const TrainResult again = train(c, shop, name + "-again");
    EXPECT_EQ(again.weights_sha256, reference.weights_sha256);
    EXPECT_EQ(again.val_loss, reference.val_loss);
    for (const Isa isa : all_isas)
      for (const int threads : {1, 2}) {
        if (!weft::testing::runs_here(isa)) continue;
        const UseDevice use(threads, isa);
        const TrainResult r = train(c, shop, format("{}-{}-{}", name, isa_name(isa), threads));
        EXPECT_EQ(r.weights_sha256, reference.weights_sha256)
            << name << " " << isa_name(isa) << " " << threads;
        EXPECT_EQ(r.val_loss, reference.val_loss) << isa_name(isa) << " " << threads;
      }
    c.seed = 2;
    EXPECT_NE(train(c, shop, name + "-seed").weights_sha256, reference.weights_sha256);
  }
}

struct Kind {
  const char* name;
  TrainConfig config;
  double dropout;
  int64_t micro_batches, lanes;
  const char* schedule;
  const char* optimizer = "adamw";
};

TEST(Trainer, ResumedIsTheSameAsUndisturbed) {
  const Workshop shop;
  for (const Kind& kind : {Kind{"plain", tiny_config(), 0, 1, 1, "cosine"},
                           Kind{"dropout", tiny_config(), 0.2, 1, 1, "wsd"},
                           Kind{"lanes", tiny_config(), 0.2, 4, 2, "constant"},
                           Kind{"muon", tiny_config(), 0, 1, 1, "cosine", "muon"},
                           Kind{"llama", tiny_llama(), 0.2, 1, 1, "cosine"},
                           Kind{"llama-muon", tiny_llama(), 0, 4, 2, "wsd", "muon"}}) {
    TrainConfig c = kind.config;
    c.model.dropout = kind.dropout, c.micro_batches = kind.micro_batches, c.lanes = kind.lanes;
    c.schedule = kind.schedule, c.optimizer = kind.optimizer;
    const TrainResult whole = train(c, shop, format("{}-whole", kind.name));
    const std::string run = shop.directory / format("{}-parts", kind.name);
    TrainResult r = Trainer::create(c, shop.data, run)->run({.stop_after = 5});
    EXPECT_EQ(r.step, 5);
    EXPECT_FALSE(r.finished);
    EXPECT_TRUE(r.val_loss.has_value());
    EXPECT_NE(r.weights_sha256, whole.weights_sha256);
    Trainer::resume(run)->run({.stop_after = 6});
    r = Trainer::resume(run)->run();
    EXPECT_EQ(r.step, 12);
    EXPECT_EQ(r.weights_sha256, whole.weights_sha256) << kind.name;
    EXPECT_EQ(r.val_loss, whole.val_loss);
    EXPECT_EQ(r.best_loss, whole.best_loss);
    EXPECT_EQ(r.best_step, whole.best_step);
    EXPECT_EQ(Trainer::resume(run)->run().weights_sha256,
              whole.weights_sha256);  // nothing left to do
  }
}

TEST(Trainer, InterruptSavesAndStops) {
  const Workshop shop;
  const TrainConfig c = tiny_config();
  const TrainResult whole = train(c, shop, "whole");
  std::atomic<bool> interrupt = false;
  RunOptions options{.interrupt = &interrupt};
  options.on_step = [&](const StepReport& r) {
    interrupt = r.step == 5;
  };  // an evaluation is due after this step
  TrainResult r = train(c, shop, "run", options);
  EXPECT_EQ(r.step, 5);
  EXPECT_FALSE(r.val_loss.has_value());
  EXPECT_FALSE(r.best_loss.has_value());
  int evaluations = 0;
  RunOptions counting;
  counting.on_evaluation = [&](int64_t step, const Evaluation&, bool) { evaluations += step == 5; };
  r = Trainer::resume(shop.directory / "run")->run(counting);
  EXPECT_EQ(evaluations, 1);
  EXPECT_EQ(r.weights_sha256, whole.weights_sha256);
  EXPECT_EQ(r.best_loss, whole.best_loss);
}

TEST(Trainer, MoreStepsExtendThePlan) {
  const Workshop shop;
  TrainConfig c = tiny_config();
  c.schedule = "constant";
  train(c, shop, "run");
  const TrainResult longer = Trainer::resume(shop.directory / "run", {.steps = 20})->run();
  EXPECT_EQ(longer.step, 20);
  EXPECT_EQ(read_run_config(shop.directory / "run").train.steps, 20);
  c.steps = 20;
  EXPECT_EQ(train(c, shop, "at-once").weights_sha256, longer.weights_sha256);
  EXPECT_ERROR(user, "has done 20 steps already",
               Trainer::resume(shop.directory / "run", {.steps = 19}));
}

// ---- what a run leaves behind

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : list_directory(path)) names.push_back(entry.name);
  return names;
}

// As train(), stopped at steps 4 and 8: the checkpoints of just these steps are there, however slow
// the disk is.
TrainResult train_in_stretches(const TrainConfig& config, const Workshop& shop, const char* name,
                               RunOptions options = {}) {
  const std::string run = shop.directory / name;
  options.stop_after = 4;
  Trainer::create(config, shop.data, run)->run(options);
  options.stop_after = 8;
  Trainer::resume(run)->run(options);
  options.stop_after = 0;
  return Trainer::resume(run)->run(options);
}

TEST(Trainer, RunFolder) {
  const Workshop shop;
  TrainConfig c = tiny_config();
  c.keep = 2, c.lr = 0.3, c.min_lr = 0.3;  // too high: the loss will not fall all the time
  RunOptions options;
  int64_t best_step = 0;
  options.on_evaluation = [&](int64_t step, const Evaluation&, bool best) {
    best_step = best ? step : best_step;
  };
  const TrainResult r = train_in_stretches(c, shop, "run", options);
  const std::string run = shop.directory / "run";
  EXPECT_EQ(names_in(run), (std::vector<std::string>{
                               "checkpoints", "config.json", "events.out.tfevents.0000000000",
                               "events.out.tfevents.0000000004", "events.out.tfevents.0000000008",
                               "lock", "metrics.jsonl", "model.safetensors", "tokenizer.json"}));
  EXPECT_EQ(r.best_step, best_step);
  const std::vector<std::string> names = names_in(run + "/checkpoints");
  EXPECT_EQ(std::ranges::count(names, format("best-{:08}", best_step)), 1);
  EXPECT_EQ(std::vector<std::string>(names.end() - 2, names.end()),
            (std::vector<std::string>{"step-00000008", "step-00000012"}));

  const LoadedRun newest = load_run(run), best = load_run(run, Weights::best);
  EXPECT_EQ(newest.step, 12);
  EXPECT_EQ(weights_sha256(newest.params), r.weights_sha256);
  EXPECT_EQ(newest.tokenizer->vocab_size(), newest.config.model.vocab);
  const Dataset data(shop.data);
  EXPECT_EQ(evaluate(newest.params, newest.config.model, DType::bf16, data.val()).loss, r.val_loss);
  EXPECT_EQ(evaluate(best.params, best.config.model, DType::bf16, data.val()).loss, r.best_loss);
  EXPECT_EQ(best.step, best_step);
  std::filesystem::remove_all(run + "/checkpoints");
  EXPECT_EQ(weights_sha256(load_run(run).params), r.weights_sha256);
}

// step -> number of lines; each line must be JSON.
std::map<int64_t, int> lines_by_step(const std::string& run) {
  std::map<int64_t, int> count;
  const std::string text = read_file(run + "/metrics.jsonl", 1 << 20);
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != text.npos; begin = end + 1)
    ++count[parse_json(text.substr(begin, end - begin), "line").at("step").get<int64_t>()];
  return count;
}

TEST(Trainer, MetricsHaveEveryStepOnceAlsoAfterACrash) {
  const Workshop shop;
  const std::string run = shop.directory / "run";
  RunOptions failing;
  failing.on_step = [](const StepReport& r) {
    if (r.step == 7) throw std::runtime_error("as if killed");
  };
  EXPECT_THROW(Trainer::create(tiny_config(), shop.data, run)->run(failing), std::runtime_error);
  EXPECT_EQ(lines_by_step(run).rbegin()->first, 7);
  write_file_atomic(run + "/metrics.jsonl",
                    read_file(run + "/metrics.jsonl", 1 << 20) + "{\"step\":8,\"lo");
  const std::unique_ptr<Trainer> trainer = Trainer::resume(run);
  EXPECT_LT(trainer->step(), 7);
  EXPECT_EQ(lines_by_step(run).rbegin()->first, trainer->step());
  trainer->run();
  const std::map<int64_t, int> lines = lines_by_step(run);
  EXPECT_EQ(lines.size(), 12u);
  for (const auto& [step, count] : lines)
    EXPECT_EQ(count, step == 5 || step == 10 || step == 12 ? 2 : 1) << step;
}

TEST(Trainer, PeakMemoryIsPlanned) {
  const Workshop shop;
  std::vector<TrainConfig> configs(5, tiny_config());
  configs[1].micro_batches = 2;
  configs[2].optimizer = "muon";
  configs[3] = tiny_llama();
  configs[4] = tiny_llama(), configs[4].optimizer = "muon", configs[4].skip_z = 6;
  for (size_t i = 0; i < configs.size(); ++i) {
    const UseDevice use(2);
    const TrainResult r = train(configs[i], shop, format("run{}", i));
    EXPECT_NEAR(double(r.planned_peak_bytes) / double(r.peak_memory_bytes), 1, 0.01)
        << i << ": " << r.peak_memory_bytes;
  }
}

// ---- what goes wrong

TEST(Trainer, StopsWhereTheLossIsNotANumber) {
  const Workshop shop;
  TrainConfig c = tiny_config();
  c.schedule = "constant", c.warmup = 0, c.checkpoint_every = 1;
  const std::string run = shop.directory / "run";
  Trainer::create(c, shop.data, run)->run({.stop_after = 3});
  RunConfig config = read_run_config(run);
  config.train.lr = 1e9, config.train.beta1 = 0, config.train.beta2 = 0,
  config.train.weight_decay = 1e3;
  config.train.steps = 50;
  write_run_config(config, run);
  EXPECT_ERROR(data, "so training stopped; what was saved before is untouched",
               Trainer::resume(run)->run());
  const LoadedRun loaded = load_run(run);
  EXPECT_GE(loaded.step, 3);
  for (const auto& [path, tensor] : loaded.params)
    for (const float x : tensor.to_vector<float>()) ASSERT_TRUE(std::isfinite(x)) << path;
}

TEST(Trainer, RefusesBadInput) {
  const Workshop shop;
  const std::string run = shop.directory / "run";
  TrainConfig c = tiny_config();
  EXPECT_ERROR(resource, "there is no directory",
               Trainer::create(c, shop.directory / "nothing", run));
  EXPECT_ERROR(resource, "there is no directory", Trainer::resume(run));
  EXPECT_ERROR(resource, "config.json is missing", Trainer::resume(shop.data));
  EXPECT_ERROR(resource, "cannot create the directory",
               Trainer::create(c, shop.data, "/proc/no/run"));
  c.model.context = 100'000;
  EXPECT_ERROR(data, "tokens to train on, but a context of 100000 needs 100001",
               Trainer::create(c, shop.data, run));
  c.model.context = 0;
  EXPECT_ERROR(user, "context must be from 1", Trainer::create(c, shop.data, run));
  EXPECT_FALSE(path_exists(run));

  train(tiny_config(), shop, "run");
  EXPECT_ERROR(user, "holds a run already", Trainer::create(tiny_config(), shop.data, run));
  EXPECT_ERROR(data, "has other training tokens",
               Trainer::resume(run, {.data = Workshop(7000).data}));
  write_file_atomic(run + "/config.json", "{}");
  EXPECT_ERROR(data, "config.json: \"format\" is missing", Trainer::resume(run));
}

TEST(Trainer, RunFolderBelongsToOne) {
  const Workshop shop;
  const std::string run = shop.directory / "run";
  const std::string locked = format("{}/lock is locked by process {}", run, ::getpid());
  std::unique_ptr<Trainer> trainer = Trainer::create(tiny_config(), shop.data, run);
  EXPECT_ERROR(resource, locked, Trainer::create(tiny_config(), shop.data, run));
  trainer->run({.stop_after = 4});
  EXPECT_ERROR(resource, locked, Trainer::resume(run));
  trainer.reset();
  EXPECT_EQ(Trainer::resume(run)->step(), 4);
}

void flip_a_bit(const std::string& path) {
  std::string bytes = read_file(path, 1 << 24);
  bytes[bytes.size() / 2] = char(bytes[bytes.size() / 2] ^ 4);
  write_file_atomic(path, bytes);
}

TEST(Trainer, DamageToAnOlderCheckpointDoesNotStopARun) {
  const Workshop shop;
  TrainConfig c = tiny_config();
  c.keep = 5;
  const std::string run = shop.directory / "run";
  Trainer::create(c, shop.data, run)->run({.stop_after = 4});
  Trainer::resume(run)->run({.stop_after = 8});
  write_file_atomic(checkpoints_of(run) + "/step-00000004/manifest.json", "no");
  EXPECT_EQ(Trainer::resume(run)->run().weights_sha256, train(c, shop, "whole").weights_sha256);
}

TEST(Trainer, DamagedCheckpointsAreSkipped) {
  const Workshop shop;
  const TrainResult whole = train_in_stretches(tiny_config(), shop, "run");
  const std::string run = shop.directory / "run", root = checkpoints_of(run);
  flip_a_bit(root + "/step-00000012/optimizer.safetensors");
  std::filesystem::create_directory(root + "/step-notes");
  std::unique_ptr<Trainer> trainer = Trainer::resume(run);
  EXPECT_EQ(trainer->step(), 8);
  EXPECT_EQ(names_in(root),
            (std::vector<std::string>{"best-00000005", "step-00000008", "step-notes"}));
  EXPECT_EQ(trainer->run().weights_sha256, whole.weights_sha256);
  trainer.reset();  // gives the folder back
  for (const char* step : {"/step-00000008", "/step-00000012"})
    flip_a_bit(root + step + "/model.safetensors");
  EXPECT_ERROR(data, "is whole", Trainer::resume(run));
  EXPECT_ERROR(resource, "holds no whole checkpoint", load_run(run));
}

TEST(Trainer, CheckpointOfAnotherModelIsRefused) {
  const Workshop shop;
  train(tiny_config(), shop, "run");
  const std::string run = shop.directory / "run";
  RunConfig config = read_run_config(run);
  config.train.model.width = 64;
  write_run_config(config, run);
  EXPECT_ERROR(data, "but the config asks for", Trainer::resume(run));
  EXPECT_ERROR(data, "but the config asks for", load_run(run));
}

}  // namespace
}  // namespace weft::train
