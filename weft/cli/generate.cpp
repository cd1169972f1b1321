// weft generate
#include "weft/engine/generate.h"

#include <cstdio>
#include <memory>

#include "weft/cli/command.h"
#include "weft/train/run_folder.h"

namespace weft::cli {

void add_generate(CLI::App& app) {
  struct Options {
    std::string run;
    std::vector<std::string> prompts;
    engine::GenerateOptions generate;
    bool best = false;
    Compute compute;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand("generate", "text from a trained model");
  c->add_option("RUN", o->run, "a run folder")->required();
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
  c->add_flag("--best", o->best,
              "the weights with the lowest validation loss instead of the newest");
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o] {
    use(o->compute);
    const train::LoadedRun run =
        train::load_run(o->run, o->best ? train::Weights::best : train::Weights::newest);
    engine::Runner runner(
        run.config.model, run.params,
        {.dtype = parse_dtype(run.config.dtype), .slots = int64_t(o->prompts.size())});
    const bool stream = !o->output.json && o->prompts.size() == 1;
    if (stream) std::fputs(o->prompts[0].c_str(), stdout);
    const engine::Generation g = engine::generate(
        runner, *run.tokenizer, o->prompts, o->generate, [&](size_t, std::string_view text) {
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
