// weft generate
#include "weft/engine/generate.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "weft/cli/command.h"

namespace weft::cli {
namespace {

// What the model's generation_config.json says and the command line does not.
void take_defaults(const CLI::App& command, const models::GenerationConfig& config,
                   engine::GenerateOptions& options) {
  const auto take = [&](const char* flag, const auto& from, auto& to) {
    if (from && command.count(flag) == 0) to = *from;
  };
  take("--temperature", config.temperature, options.sampling.temperature);
  take("--top-k", config.top_k, options.sampling.top_k);
  take("--top-p", config.top_p, options.sampling.top_p);
  take("--min-p", config.min_p, options.sampling.min_p);
  options.stop = config.stop;
}

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
  c->add_option("--max-tokens", o->generate.max_tokens, "most tokens to write")
      ->capture_default_str();
  c->add_option("--temperature", o->generate.sampling.temperature,
                "0: always the most probable token")
      ->capture_default_str();
  c->add_option("--top-k", o->generate.sampling.top_k, "choose among the k most probable; 0: all")
      ->capture_default_str();
  c->add_option("--top-p", o->generate.sampling.top_p,
                "choose among the most probable that make up p")
      ->capture_default_str();
  c->add_option("--min-p", o->generate.sampling.min_p,
                "leave out what is less probable than p times the best")
      ->capture_default_str();
  c->add_option("--seed", o->generate.sampling.seed, "the same seed writes the same text")
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
        print_json({{"prompt", o->prompts[i]},
                    {"text", t.text},
                    {"tokens", t.tokens},
                    {"logprobs", t.logprobs},
                    {"prompt_tokens", t.prompt_tokens},
                    {"finish_reason", std::string(t.finish_reason)},
                    {"decode_tokens_per_second", g.throughput.decode_tokens_per_second()}});
      else
        std::printf("%s%s\n%s", o->prompts[i].c_str(), t.text.c_str(),
                    i + 1 < g.texts.size() ? "----\n" : "");
    }
  });
}

}  // namespace weft::cli
