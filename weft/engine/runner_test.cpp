#include "weft/engine/runner.h"

#include <bit>
#include <gtest/gtest.h>

#include "tests/emulated_tiles.h"
#include "weft/engine/engine_testing.h"

namespace weft::engine {
namespace {

using Logits = std::vector<std::vector<float>>;  // of each sequence, [tokens, vocab]
using Tokens = std::vector<std::vector<int32_t>>;

// Sixteen, on both sides of attention's blocks of 64 keys.
Tokens sequences() {
  Tokens all;
  for (const size_t n : {65, 1, 130, 2, 64, 3, 129, 7, 128, 16, 63, 31, 127, 40, 100, 66})
    all.push_back(some_tokens(n, n));
  return all;
}

// Every token's logits, the sequences side by side, each run `step` tokens at a time.
Logits in_chunks(Runner& runner, const Tokens& all, size_t step) {
  Logits logits(all.size());
  for (size_t begin = 0;; begin += step) {
    std::vector<Chunk> chunks;
    std::vector<size_t> who;
    for (size_t i = 0; i < all.size(); ++i) {
      if (begin >= all[i].size()) continue;
      const size_t n = std::min(step, all[i].size() - begin);
      chunks.push_back(
          {int32_t(i), int32_t(begin), std::span(all[i]).subspan(begin, n), int32_t(n)});
      who.push_back(i);
    }
    if (chunks.empty()) return logits;
    std::span<const float> got = runner.run(chunks);
    for (size_t c = 0; c < chunks.size(); ++c) {
      const size_t n = chunks[c].tokens.size() * size_t(runner.config().vocab);
      logits[who[c]].insert(logits[who[c]].end(), got.begin(), got.begin() + std::ptrdiff_t(n));
      got = got.subspan(n);
    }
    EXPECT_TRUE(got.empty());
  }
}

Logits one_by_one(Runner& runner, const Tokens& all) {
  Logits logits;
  for (const std::vector<int32_t>& s : all) logits.push_back(in_chunks(runner, {s}, s.size())[0]);
  return logits;
}

Tokens first_tokens(Tokens all, size_t n) {
  for (std::vector<int32_t>& s : all) s.resize(std::min(s.size(), n));
  return all;
}
Logits first_logits(Logits all, size_t n) {
  for (std::vector<float>& s : all) s.resize(std::min(s.size(), n * 259));
  return all;
}

uint32_t bits(float x) {
  return std::bit_cast<uint32_t>(x);
}

void expect_same_bits(const Logits& got, const Logits& want, const char* how) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t s = 0; s < want.size(); ++s) {
    ASSERT_EQ(got[s].size(), want[s].size());
    size_t first = 0;
    while (first < want[s].size() && bits(got[s][first]) == bits(want[s][first])) ++first;
    EXPECT_EQ(first, want[s].size())
        << how << ", sequence of " << want[s].size() / 259 << ", token " << first / 259 << ": "
        << got[s][first] << " against " << want[s][first];
  }
}

// What training computes with plain AVX2 on one thread.
const Logits& reference(const models::ModelConfig& config, DType dtype) {
  static std::map<std::pair<std::string, DType>, Logits> known;
  Logits& logits = known[{config.architecture, dtype}];
  if (logits.empty()) {
    use_device(Isa::avx2, 1);
    logits = training_logits(config, small_params(config), dtype, sequences());
  }
  return logits;
}

struct Case {
  models::ModelConfig config;
  DType dtype;
  Isa isa;
  int threads;
};
std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  return format("{}_{}_{}_{}", info.param.config.architecture, dtype_name(info.param.dtype),
                isa_name(info.param.isa), info.param.threads);
}
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const models::ModelConfig& config : {small_config(), small_llama()})
    for (const DType dtype : {DType::bf16, DType::f32})
      for (const Isa isa : all_isas)
        for (const int threads : {1, 2})
          if (weft::testing::runs_here(isa)) all.push_back({config, dtype, isa, threads});
  return all;
}

class SameBits : public ::testing::TestWithParam<Case> {};

TEST_P(SameBits, HoweverASequenceIsComputed) {
  const models::ModelConfig& config = GetParam().config;
  const Logits& want = reference(config, GetParam().dtype);
  ASSERT_GT(std::abs(want[0].back()), 1e-3);
  use_device(GetParam().isa, GetParam().threads);
  const Tokens all = sequences();
  const Params params = small_params(config);
  expect_same_bits(training_logits(config, params, GetParam().dtype, all), want, "training");
  expect_same_bits({training_logits(config, params, GetParam().dtype, {all[2]})[0]}, {want[2]},
                   "training, alone");

  Runner runner(config, params,
                {.dtype = GetParam().dtype, .max_tokens = 1100, .max_logits = 1100});
  expect_same_bits(one_by_one(runner, all), want, "alone");
  expect_same_bits(in_chunks(runner, all, 1000), want, "in a batch of 16");
  expect_same_bits(in_chunks(runner, first_tokens(all, 66), 1), first_logits(want, 66),
                   "decoded in a batch of 16");
  expect_same_bits(in_chunks(runner, {all[15]}, 1), {want[15]}, "decoded alone");
  expect_same_bits(in_chunks(runner, all, 7), want, "in chunks of 7");
  expect_same_bits(in_chunks(runner, all, 64), want, "in chunks of 64");
  EXPECT_LE(runner.traces(), 2u);
}

INSTANTIATE_TEST_SUITE_P(Runner, SameBits, ::testing::ValuesIn(cases()), case_name);

Runner small_runner(const RunnerOptions& options) {
  use_device(selected_isa(), 2);
  return Runner(small_config(), small_params(small_config()), options);
}

// Prompts and decoding of every mixture of lengths, in an order that repeats nothing.
TEST(Runner, AllocatesNothingAndTracesNothingAfterTheFirstRuns) {
  Runner runner = small_runner({.slots = 4, .max_tokens = 32});
  Device& device = default_device();
  const std::vector<int32_t> tokens = some_tokens(134, 1);
  const auto run = [&](int32_t slot, size_t begin, size_t n) {
    const std::span<const int32_t> part = std::span(tokens).subspan(begin, n);
    const Chunk chunk{slot, int32_t(begin), part, 1};
    EXPECT_EQ(runner.run({&chunk, 1}).size(), 259u);
  };
  run(0, 0, 32);
  run(0, 32, 1);
  const MemoryStats before = device.memory();
  const size_t traces = runner.traces();
  for (int32_t slot = 0; slot < 4; ++slot)
    for (size_t at = 0, n = 1; at + n < 134; at += n, n = n % 31 + 3) run(slot, at, n);
  for (size_t at = 100; at < 130; ++at) {
    std::vector<Chunk> chunks;
    for (int32_t slot = 0; slot < int32_t(at % 4) + 1; ++slot)
      chunks.push_back({slot, int32_t(at), std::span(tokens).subspan(at, 1), 1});
    EXPECT_EQ(runner.run(chunks).size(), 259 * chunks.size());
  }
  const MemoryStats after = device.memory();
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.live_bytes, before.live_bytes);
  EXPECT_EQ(runner.traces(), traces);
}

// Every length that one run takes, each planned for the longest: what a kernel needs may grow and
// shrink with it.
TEST(Runner, EveryLengthIsRight) {
  models::ModelConfig config = small_config();
  config.context = 300, config.layers = 1;
  use_device(selected_isa(), 2);
  const Params params = small_params(config);
  const std::vector<int32_t> tokens = some_tokens(256, 9);
  const Logits want = training_logits(config, params, DType::f32, {tokens});
  Runner runner(config, params, {.dtype = DType::f32, .slots = 1, .max_tokens = 256});
  for (size_t n = 1; n <= tokens.size(); ++n) {
    const Chunk chunk{0, 0, std::span(tokens).first(n), 1};
    const std::span<const float> got = runner.run({&chunk, 1});
    ASSERT_TRUE(std::equal(got.begin(), got.end(), want[0].begin() + int64_t(n - 1) * 259)) << n;
  }
}

// The cache is written in place: a run needs no second one.
TEST(Runner, KeepsOneCache) {
  const models::ModelConfig config = small_config();
  const RunnerOptions options{.dtype = DType::f32, .slots = 64, .max_tokens = 64};
  use_device(selected_isa(), 2);
  const Params params = small_params(config);
  eval(tensors_of(params));
  const int64_t before = default_device().memory().live_bytes;
  Runner runner(config, params, options);
  default_device().reset_peak();
  const std::vector<int32_t> tokens = some_tokens(20, 1);
  const Chunk chunk{3, 0, tokens, 1};
  runner.run({&chunk, 1});
  const int64_t layer = options.slots * config.context * config.width * 4;
  const int64_t cache = 2 * config.layers * layer;
  EXPECT_LT(default_device().memory().peak_bytes - before, cache + layer);
}

TEST(Runner, ChunksMayWantNoLogits) {
  Runner runner = small_runner({.slots = 2, .max_tokens = 32});
  const std::vector<int32_t> tokens = some_tokens(20, 1);
  const Chunk first{1, 0, std::span(tokens).first(15), 0};
  EXPECT_TRUE(runner.run({&first, 1}).empty());
  const Chunk second{1, 15, std::span(tokens).subspan(15), 2};
  const std::span<const float> got = runner.run({&second, 1});
  ASSERT_EQ(got.size(), 2 * 259u);
  const Logits want =
      training_logits(small_config(), small_params(small_config()), DType::bf16, {tokens});
  EXPECT_TRUE(std::equal(got.begin(), got.end(), want[0].end() - 2 * 259));
}

TEST(Runner, MistakesOfTheCallerAreCaughtAndLeaveItWhole) {
  Runner runner = small_runner({.slots = 2, .max_tokens = 8});
  const std::vector<int32_t> tokens = some_tokens(140, 1), wrong{0, 259}, negative{-1};
  const auto run = [&](Chunk chunk) { return runner.run({&chunk, 1}); };
  const std::span<const int32_t> some = std::span(tokens).first(4);
  EXPECT_THROW(run({2, 0, some, 1}), Error);                        // slot
  EXPECT_THROW(run({0, 131, some, 1}), Error);                      // context
  EXPECT_THROW(run({0, 0, some, 5}), Error);                        // logits
  EXPECT_THROW(run({0, 0, some.first(0), 0}), Error);               // no token
  EXPECT_THROW(run({0, 0, std::span(tokens).first(9), 1}), Error);  // planned for 8
  EXPECT_THROW(run({0, 0, wrong, 1}), Error);                       // vocabulary
  EXPECT_THROW(run({0, 0, negative, 1}), Error);
  EXPECT_EQ(run({0, 0, some, 1}).size(), 259u);
}

std::string message(const models::ModelConfig& config, const RunnerOptions& options) {
  try {
    Runner runner(config, small_params(small_config()), options);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Runner, OptionsAreChecked) {
  use_device(selected_isa(), 2);
  EXPECT_EQ(message(small_config(), {.dtype = DType::f16}),
            "a model runs in bf16 or f32, not in f16");
  EXPECT_EQ(message(small_config(), {.context = 135}),
            "the context of a sequence must be from 1 to 134, got 135");
  EXPECT_EQ(message(small_config(), {.slots = 20000000}),
            "the number of sequences at once must be from 1 to 16025997, got 20000000");
  EXPECT_EQ(message(small_config(), {.slots = 8, .max_tokens = 7}),
            "the tokens of one run must be from 8 to 16777216, got 7");
  models::ModelConfig wider = small_config();
  wider.width = 96;
  EXPECT_NE(message(wider, {}).find("but the config asks for"), std::string::npos);
}

}  // namespace
}  // namespace weft::engine
