#include "weft/cli/demo_exam.h"

#include <algorithm>
#include <cstdio>

#include "weft/engine/chat.h"
#include "weft/engine/generate.h"
#include "weft/text/story_grammar.h"

namespace weft::cli {
namespace {

constexpr double temperature = 0.7;
constexpr int64_t texts_written = 64, sums_asked = 200;

engine::GenerateOptions options_for(const train::LoadedModel& model, uint64_t seed) {
  engine::GenerateOptions options{.max_tokens = model.config.context - 1};
  options.sampling.temperature = temperature;
  options.sampling.seed = seed;
  options.stop = model.generation.stop;
  return options;
}

bool is_right(const engine::Generated& g) {
  if (g.finish_reason != "stop" || !g.text.ends_with(kTextEnd)) return false;
  const std::string_view text = g.text;
  return primer_grammar().match(text.substr(0, text.size() - kTextEnd.size())).accepted;
}

void write_texts(engine::Runner& runner, const train::LoadedModel& model, uint64_t seed,
                 ExamResult& result) {
  const std::vector<std::string> nothing(size_t(texts_written), "");
  for (engine::Generated& g :
       engine::generate(runner, *model.tokenizer, nothing, options_for(model, seed)).texts) {
    result.accepted += is_right(g);
    result.texts.push_back(std::move(g.text));
  }
}

// Some of all sums, evenly.
void ask_sums(engine::Runner& runner, const train::LoadedModel& model, ExamResult& result) {
  const std::vector<Sum> all = primer_sums();
  std::vector<Sum> asked;
  for (int64_t i = 0; i < sums_asked; ++i)
    asked.push_back(all[all.size() * size_t(i) / sums_asked]);
  std::vector<std::string> prompts;
  for (const Sum& sum : asked)
    prompts.push_back(dialogue_prompt(std::vector<Turn>{{Speaker::user, sum.question}}));
  engine::GenerateOptions options = options_for(model, 0);
  options.sampling.temperature = 0;
  options.max_tokens = 32;
  options.stop_strings = {std::string(kTurnEnd)};
  const auto answers = engine::generate(runner, *model.tokenizer, prompts, options).texts;
  result.sums = sums_asked;
  for (size_t i = 0; i < asked.size(); ++i)
    result.right += answers[i].text == " " + asked[i].answer;
}

}  // namespace

ExamResult examine(const train::LoadedModel& model, uint64_t seed) {
  engine::Runner runner(model.config, model.params,
                        {.dtype = parse_dtype(model.dtype), .slots = 32});
  ExamResult result;
  result.temperature = temperature;
  write_texts(runner, model, seed, result);
  ask_sums(runner, model, result);
  return result;
}

void converse(const train::LoadedModel& model, uint64_t seed) {
  engine::Runner runner(model.config, model.params,
                        {.dtype = parse_dtype(model.dtype), .slots = 1});
  engine::Chat chat(runner, *model.tokenizer, options_for(model, seed));
  for (const char* message : {"Hello! My name is Mia.", "What is 17 plus 25?", "What do bees make?",
                              "Tell me a story about Tom.", "Thank you!"}) {
    std::printf("  User: %s\n  Assistant: ", message);
    std::fflush(stdout);
    chat.ask(message, [](std::string_view text) {
      std::fwrite(text.data(), 1, text.size(), stdout);
      std::fflush(stdout);
    });
    std::printf("\n");
  }
}

}  // namespace weft::cli
