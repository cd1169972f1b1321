// weft generate
#include "weft/engine/generate.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "weft/base/utf8.h"
#include "weft/cli/command.h"
#include "weft/cli/sampling.h"

namespace weft::cli {
namespace {

// No larger than these prompts can grow: every sequence's keys and values are allocated.
int64_t context_for(const train::LoadedModel& model, const std::vector<std::string>& prompts,
                    int64_t max_tokens) {
  size_t longest = 0;
  for (const std::string& prompt : prompts)
    longest = std::max(longest, model.tokenizer->encode(prompt).size());
  longest += model.tokenizer->start_tokens().size();
  const int64_t most = model.config.context;
  return std::clamp<int64_t>(int64_t(longest) + std::clamp<int64_t>(max_tokens, 0, most), 1, most);
}

// [{"token", "text", "logprob"}] of each place.
Json alternatives_json(const engine::Generated& t, const Tokenizer& tokenizer) {
  Json places = Json::array();
  for (const std::vector<engine::TokenLogprob>& place : t.top_logprobs) {
    Json alternatives = Json::array();
    for (const auto& [token, logprob] : place)
      alternatives.push_back({{"token", token},
                              {"text", replace_invalid_utf8(tokenizer.piece(token))},
                              {"logprob", logprob}});
    places.push_back(std::move(alternatives));
  }
  return places;
}

Json result_json(const std::string& prompt, const engine::Generated& t, const Tokenizer& tokenizer,
                 const engine::Throughput& throughput) {
  Json json = {{"prompt", prompt},
               {"text", t.text},
               {"tokens", t.tokens},
               {"logprobs", t.logprobs},
               {"prompt_tokens", t.prompt_tokens},
               {"finish_reason", std::string(t.finish_reason)},
               {"decode_tokens_per_second", throughput.decode_tokens_per_second()}};
  if (!t.top_logprobs.empty()) json["top_logprobs"] = alternatives_json(t, tokenizer);
  return json;
}

}  // namespace

void add_generate(CLI::App& app) {
  struct Options {
    std::string model, dtype;
    std::vector<std::string> prompts;
    engine::GenerateOptions generate;
    bool best = false;
    Compute compute;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand("generate", "text from a trained model");
  c->add_option("MODEL", o->model, "a run folder or a Hugging Face directory")->required();
  c->add_option("--prompt", o->prompts, "what to continue; may be given several times")
      ->required()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_sampling(*c, o->generate);
  c->add_option("--top-logprobs", o->generate.top_logprobs,
                "tell the n most probable tokens at each place (with --json)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  c->add_option("--dtype", o->dtype, "number type that computes; default: the model's")
      ->check(CLI::IsMember({"bf16", "f32"}));
  add_best(*c, o->best);
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o, c] {
    use(o->compute);
    const train::LoadedModel model = load(o->model, o->best);
    take_defaults(*c, model.generation, o->generate);
    engine::Runner runner(model.config, model.params,
                          {.dtype = parse_dtype(o->dtype.empty() ? model.dtype : o->dtype),
                           .slots = int64_t(o->prompts.size()),
                           .context = context_for(model, o->prompts, o->generate.max_tokens)});
    const bool stream = !o->output.json && o->prompts.size() == 1;
    if (stream) std::fputs(o->prompts[0].c_str(), stdout);
    const engine::Generation g = engine::generate(
        runner, *model.tokenizer, o->prompts, o->generate, [&](size_t, std::string_view text) {
          if (!stream) return;
          std::fwrite(text.data(), 1, text.size(), stdout);
          std::fflush(stdout);
        });
    if (stream) std::fputs("\n", stdout);
    for (size_t i = 0; i < g.texts.size() && !stream; ++i) {
      const engine::Generated& t = g.texts[i];
      if (o->output.json)
        print_json(result_json(o->prompts[i], t, *model.tokenizer, g.throughput));
      else
        std::printf("%s%s\n%s", o->prompts[i].c_str(), t.text.c_str(),
                    i + 1 < g.texts.size() ? "----\n" : "");
    }
  });
}

}  // namespace weft::cli
