#include "weft/engine/generate.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>

#include "weft/base/json.h"
#include "weft/engine/engine_testing.h"
#include "weft/text/byte_tokenizer.h"

namespace weft::engine {
namespace {

const ByteTokenizer tokenizer;

struct Model {
  models::ModelConfig config = small_config();
  Params params = (use_device(selected_isa(), 1), small_params(config));
  Runner runner;
  explicit Model(const RunnerOptions& options = {}) : runner(config, params, options) {}
};

// As byte, with "<<" before every text.
class StartingTokenizer final : public Tokenizer {
 public:
  std::string_view name() const override { return "starting"; }
  int32_t vocab_size() const override { return tokenizer.vocab_size(); }
  std::vector<int32_t> encode(std::string_view text) const override {
    return tokenizer.encode(text);
  }
  std::string_view piece(int32_t id) const override { return tokenizer.piece(id); }
  std::vector<int32_t> start_tokens() const override { return {'<', '<'}; }
  Json to_json() const override { return tokenizer.to_json(); }
};

GenerateOptions greedy(int64_t max_tokens) {
  return {.max_tokens = max_tokens, .sampling = {.temperature = 0}};
}

std::string error_of(Model& model, const std::vector<std::string>& prompts,
                     const GenerateOptions& options) {
  try {
    generate(model.runner, tokenizer, prompts, options);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::user);
    return e.what();
  }
  return "no error";
}

void expect_equal(const Generated& a, const Generated& b) {
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.logprobs, b.logprobs);
  EXPECT_EQ(a.finish_reason, b.finish_reason);
}

TEST(Generate, StartTokensStandBeforeThePrompt) {
  Model model;
  const Generated with = generate(model.runner, StartingTokenizer(), {"ab"}, greedy(10)).texts[0];
  const Generated spelled = generate(model.runner, tokenizer, {"<<ab"}, greedy(10)).texts[0];
  EXPECT_EQ(with.prompt_tokens, 4);
  expect_equal(with, spelled);
}

TEST(Generate, GreedyFollowsTheTrainingForward) {
  for (const DType dtype : {DType::bf16, DType::f32}) {
    Model model({.dtype = dtype});
    const std::string prompt = "Once there was";
    const Generated got = generate(model.runner, tokenizer, {prompt}, greedy(40)).texts[0];
    ASSERT_EQ(got.tokens.size(), 40u);
    EXPECT_GT(std::set(got.tokens.begin(), got.tokens.end()).size(), 3u);
    std::vector<int32_t> all = tokenizer.encode(prompt);
    all.insert(all.end(), got.tokens.begin(), got.tokens.end());
    const std::vector<float> logits = training_logits(model.config, model.params, dtype, {all})[0];
    for (size_t i = 0; i < got.tokens.size(); ++i) {
      const float* row = logits.data() + (prompt.size() + i - 1) * 259;
      EXPECT_EQ(got.tokens[i], std::max_element(row, row + 256) - row) << i;
      EXPECT_EQ(got.logprobs[i], Sampler().log_probability({row, 256}, got.tokens[i]));
    }
  }
}

// What this model says: a change here is a change of the numbers.
TEST(Generate, GreedyTextIsFixed) {
  const std::vector<int32_t> want{14, 197, 197, 56, 197, 19, 19, 63, 197, 197, 244, 3};
  for (const DType dtype : {DType::bf16, DType::f32})
    for (const Isa isa : {Isa::avx2, best_isa()}) {
      use_device(isa, 1);
      Runner runner(small_config(), small_params(small_config()), {.dtype = dtype});
      EXPECT_EQ(generate(runner, tokenizer, {"Once"}, greedy(12)).texts[0].tokens, want);
    }
}

// Five prompts on two slots with steps of four tokens, against each alone with room for all.
TEST(Generate, CompanyChangesNothing) {
  const std::vector<std::string> prompts{"a", "Once there was a kind", "bb", "The miller", "xyz"};
  GenerateOptions options{.max_tokens = 25,
                          .sampling = {.temperature = 0.9, .top_k = 100, .top_p = 0.95, .seed = 5}};
  Model crowded({.slots = 2, .max_tokens = 4}), roomy;
  const Generation together = generate(crowded.runner, tokenizer, prompts, options);
  expect_equal(generate(roomy.runner, tokenizer, prompts, options).texts[3], together.texts[3]);
  std::set<std::vector<int32_t>> different;
  for (size_t i = 0; i < prompts.size(); ++i) {
    options.sampling.seed = 5 + i;
    const Generation alone = generate(roomy.runner, tokenizer, {prompts[i]}, options);
    expect_equal(together.texts[i], alone.texts[0]);
    different.insert(alone.texts[0].tokens);
  }
  EXPECT_EQ(different.size(), prompts.size());
  EXPECT_LE(crowded.runner.traces(), 2u);
}

TEST(Generate, SeedsGiveDifferentTexts) {
  Model model;
  const auto text = [&](uint64_t seed) {
    return generate(model.runner, tokenizer, {"Once"},
                    {.max_tokens = 20, .sampling = {.seed = seed}})
        .texts[0]
        .text;
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
}

TEST(Generate, StreamsTheText) {
  Model model;
  std::vector<std::string> streamed(3);
  const Generation got = generate(model.runner, tokenizer, {"one", "two", "three"},
                                  {.max_tokens = 60, .sampling = {.seed = 1}},
                                  [&](size_t prompt, std::string_view text) {
                                    EXPECT_FALSE(text.empty());
                                    streamed[prompt] += text;
                                  });
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(streamed[i], got.texts[i].text);
    StreamDecoder decoder(tokenizer);
    std::string whole;
    for (const int32_t token : got.texts[i].tokens) whole += decoder.push(token);
    EXPECT_EQ(streamed[i], whole + decoder.finish());
  }
}

TEST(Generate, EndsWhereItMust) {
  Model model({.context = 20});
  const Generated enough = generate(model.runner, tokenizer, {"Once"}, greedy(10)).texts[0];
  EXPECT_EQ(enough.tokens.size(), 10u);
  EXPECT_EQ(enough.prompt_tokens, 4);
  EXPECT_EQ(enough.finish_reason, "length");
  const Generated full = generate(model.runner, tokenizer, {"Once"}, greedy(1000)).texts[0];
  EXPECT_EQ(full.tokens.size(), 16u);
  EXPECT_EQ(full.finish_reason, "length");
  const Generated one =
      generate(model.runner, tokenizer, {"Once there was a ki"}, greedy(9)).texts[0];
  EXPECT_EQ(one.tokens.size(), 1u);

  GenerateOptions options = greedy(10);
  options.stop = {-1, enough.tokens[5]};
  const Generated stopped = generate(model.runner, tokenizer, {"Once"}, options).texts[0];
  EXPECT_EQ(stopped.finish_reason, "stop");
  const auto first = std::find(enough.tokens.begin(), enough.tokens.end(), enough.tokens[5]);
  EXPECT_EQ(stopped.tokens, std::vector<int32_t>(enough.tokens.begin(), first));
  EXPECT_EQ(stopped.logprobs.size(), stopped.tokens.size());
}

// Where a stop string begins and ends within the tokens does not matter, and no part of it is seen.
TEST(Generate, StopStringsEndATextAcrossTokens) {
  Model model;
  GenerateOptions options{.max_tokens = 60, .sampling = {.seed = 1}};
  const Generated whole = generate(model.runner, tokenizer, {"one"}, options).texts[0];
  for (const size_t length : {size_t(1), size_t(4), size_t(9)}) {
    const size_t middle = whole.text.find_first_of("abcdefghijklmnopqrstuvwxyz", 20);
    options.stop_strings = {"never\n", whole.text.substr(middle, length)};
    std::string streamed;
    const Generated got =
        generate(model.runner, tokenizer, {"one"}, options, [&](size_t, std::string_view text) {
          streamed += text;
        }).texts[0];
    const size_t at = whole.text.find(options.stop_strings[1]);
    EXPECT_EQ(got.text, whole.text.substr(0, at));
    EXPECT_EQ(streamed, got.text);
    EXPECT_EQ(got.finish_reason, "stop");
    EXPECT_LT(got.tokens.size(), whole.tokens.size());
    EXPECT_EQ(got.logprobs.size(), got.tokens.size());
  }
}

// An end that might have become a stop string is given when the text ends otherwise.
TEST(Generate, TheBeginningOfAStopStringIsText) {
  Model model;
  const Generated whole =
      generate(model.runner, tokenizer, {"one"}, {.max_tokens = 30, .sampling = {.seed = 1}})
          .texts[0];
  GenerateOptions options{.max_tokens = 30, .sampling = {.seed = 1}};
  options.stop_strings = {whole.text.substr(whole.text.size() - 5) + "!?"};
  std::string streamed;
  const Generated got =
      generate(model.runner, tokenizer, {"one"}, options, [&](size_t, std::string_view text) {
        streamed += text;
      }).texts[0];
  EXPECT_EQ(got.text, whole.text);
  EXPECT_EQ(streamed, whole.text);
  EXPECT_EQ(got.finish_reason, "length");
}

TEST(Generate, PenaltyMindsThePromptAndTheText) {
  Model model;
  GenerateOptions options = greedy(30);
  const Generated plain = generate(model.runner, tokenizer, {"Once"}, options).texts[0];
  options.sampling.repetition_penalty = 100;
  const Generated varied = generate(model.runner, tokenizer, {"Once"}, options).texts[0];
  EXPECT_LT(std::set(plain.tokens.begin(), plain.tokens.end()).size(), 25u);
  std::set<int32_t> seen{'O', 'n', 'c', 'e'};
  for (const int32_t token : varied.tokens) EXPECT_TRUE(seen.insert(token).second) << token;
}

TEST(Generate, TellsAlternatives) {
  Model model;
  GenerateOptions options = greedy(5);
  options.top_logprobs = 3;
  const Generated got = generate(model.runner, tokenizer, {"Once"}, options).texts[0];
  ASSERT_EQ(got.top_logprobs.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    ASSERT_EQ(got.top_logprobs[i].size(), 3u);
    EXPECT_EQ(got.top_logprobs[i][0], (TokenLogprob{got.tokens[i], got.logprobs[i]}));
  }
}

// Prompts that begin alike, one after another in one slot: as each alone.
TEST(Generate, KeysThatAreThereAlreadyChangeNothing) {
  const std::vector<std::string> prompts{"Once there was a miller", "Once there was a king",
                                         "Once there was a king", "Twice"};
  const GenerateOptions options{.max_tokens = 15, .sampling = {.seed = 5}};
  Model one_slot({.slots = 1, .max_tokens = 8});
  const Generation got = generate(one_slot.runner, tokenizer, prompts, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    Model fresh;
    GenerateOptions own = options;
    own.sampling.seed += i;
    expect_equal(got.texts[i], generate(fresh.runner, tokenizer, {prompts[i]}, own).texts[0]);
  }
  EXPECT_EQ(got.texts[0].reused_tokens, 0);
  EXPECT_EQ(got.texts[1].reused_tokens, 17);
  EXPECT_EQ(got.texts[2].reused_tokens, 20);
  EXPECT_EQ(got.texts[3].reused_tokens, 0);
}

TEST(Generate, CountsWhereTheTimeWent) {
  Model model;
  const Throughput t =
      generate(model.runner, tokenizer, {"Once", "Twice there"}, greedy(10)).throughput;
  EXPECT_EQ(t.prefill_tokens, 15);
  EXPECT_EQ(t.decode_tokens, 18);  // the prompts gave each first token
  EXPECT_GT(t.prefill_tokens_per_second(), 0);
  EXPECT_GT(t.decode_tokens_per_second(), 0);
  EXPECT_EQ(generate(model.runner, tokenizer, {}, greedy(1)).throughput.decode_tokens_per_second(),
            0);
}

TEST(Generate, ErrorsAreSentences) {
  Model model({.context = 20});
  EXPECT_EQ(error_of(model, {""}, greedy(1)), "the prompt is empty, expected a text to go on from");
  EXPECT_EQ(error_of(model, {"a", ""}, greedy(1)),
            "prompt 2 is empty, expected a text to go on from");
  EXPECT_EQ(
      error_of(model, {std::string(20, 'a')}, greedy(1)),
      "the prompt has 20 tokens, but the model's context of 20 has room for at most 19 and one "
      "that is generated; shorten it");
  EXPECT_EQ(error_of(model, {"a"}, greedy(0)),
            "the number of tokens to generate must be 1 or more, got 0");
  EXPECT_EQ(error_of(model, {"a"}, {.stop_strings = {"a", ""}}),
            "a stop string is empty, expected a text that ends an answer");
  EXPECT_EQ(error_of(model, {"a"}, {.top_logprobs = -1}),
            "the number of alternatives told for a token must be 0 or more, got -1");
  EXPECT_EQ(error_of(model, {"a"}, {.sampling = {.temperature = -2}}),
            "temperature must be from 0 to 100, got -2");
}

}  // namespace
}  // namespace weft::engine
