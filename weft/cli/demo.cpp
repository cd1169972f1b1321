// weft demo: the main job in one command. Makes a corpus of little stories (or takes a text),
// trains a GPT on it, holds its loss against what the grammar allows, and shows what it writes.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/log.h"
#include "weft/base/terminal.h"
#include "weft/cli/command.h"
#include "weft/cli/loss_plot.h"
#include "weft/cli/train_session.h"
#include "weft/engine/generate.h"
#include "weft/text/story_grammar.h"
#include "weft/train/tokenizers.h"

namespace weft::cli {
namespace {

struct Options {
  std::string text, out = "weft-demo";
  bool resume = false;
  int64_t steps = 2400, seed = 1;
  Compute compute;
  Output output;
};

// A run folder with its data beside it.
std::string run_of(const Options& o) {
  return o.out + "/run";
}
std::string data_of(const Options& o) {
  return o.out + "/data";
}

train::TrainConfig config_of(const Options& o) {
  train::TrainConfig c;
  c.model = {.architecture = "llama", .context = 256, .layers = 4, .heads = 4, .width = 128};
  c.batch = 8, c.steps = o.steps, c.seed = o.seed;
  c.lr = 4e-3, c.min_lr = 1e-4, c.warmup = 60, c.beta2 = 0.98;
  c.eval_every = 250, c.checkpoint_every = 250;
  return c;
}

void prepare_data(const Options& o) {
  std::filesystem::create_directories(o.out);
  if (!o.text.empty()) {
    train::prepare({.text = o.text, .out = data_of(o)});
    return;
  }
  constexpr size_t train_bytes = 6 << 20, val_bytes = 128 << 10;
  constexpr int64_t vocab_size = 768;
  const StoryEntropy entropy = story_entropy();
  log_info(format(
      "{} of stories from a grammar that can tell about 10^{:.0f} of them; its entropy is {:.3f} "
      "bits a byte",
      format_bytes(double(train_bytes)), std::log10(entropy.stories),
      entropy.nats_per_character / std::log(2.0)));
  const std::string train = make_story_corpus(uint64_t(o.seed), train_bytes);
  const std::string val = make_story_corpus(uint64_t(o.seed), val_bytes, StorySplit::validation);
  train::write_dataset(train, val, *train::make_tokenizer("bpe", vocab_size, train, val),
                       data_of(o));
}

std::unique_ptr<train::Trainer> open(const Options& o) {
  if (o.resume) return train::Trainer::resume(run_of(o));
  if (path_exists(run_of(o)))
    user_error(
        "{} holds a demo already; go on with it: weft demo --out {} --resume, or choose another "
        "--out",
        o.out, o.out);
  prepare_data(o);
  return train::Trainer::create(config_of(o), data_of(o), run_of(o));
}

constexpr double temperature = 0.7;

// Stories told from nothing.
std::vector<std::string> tell(const Options& o, const std::string& prompt, int64_t count) {
  const train::LoadedRun run = train::load_run(run_of(o));
  engine::Runner runner(run.config.model, run.params,
                        {.dtype = parse_dtype(run.config.dtype), .slots = 16});
  engine::GenerateOptions options{.max_tokens = run.config.model.context - 8};
  options.sampling.temperature = temperature;
  options.sampling.seed = uint64_t(o.seed);
  const std::vector<std::string> prompts(static_cast<size_t>(count), prompt);
  std::vector<std::string> texts;
  for (engine::Generated& g : engine::generate(runner, *run.tokenizer, prompts, options).texts)
    texts.push_back(std::move(g.text));
  return texts;
}

// Stories are ASCII: a character is a byte.
double grammar_bits_per_byte() {
  return story_entropy().nats_per_character / std::log(2.0);
}

struct Summary {
  train::TrainResult result;
  double bits_per_byte = 0;
  std::vector<std::string> samples;
  StoryScore score = {};  // of the finished stories; none for a text of the user's
};

// The first story of each sample, if it came to its end within the context.
StoryScore score_of(const std::vector<std::string>& texts) {
  std::string finished;
  for (const std::string& t : texts)
    if (const size_t end = t.find(kStoryEnd); end != t.npos)
      finished += t.substr(0, end) + std::string(kStoryEnd);
  StoryScore s = score_stories(finished);
  s.first_refused = {};
  return s;
}

void report(const Options& o, const Summary& s) {
  const bool stories = o.text.empty();
  if (o.output.json) {
    Json json{{"event", "demo"},
              {"run", run_of(o)},
              {"step", s.result.step},
              {"val_loss", s.result.val_loss.value_or(NAN)},
              {"bits_per_byte", s.bits_per_byte},
              {"tokens_per_second", s.result.tokens_per_second},
              {"samples", s.samples}};
    if (stories)
      json.update(Json{{"grammar_bits_per_byte", grammar_bits_per_byte()},
                       {"stories", s.score.stories},
                       {"accepted", s.score.accepted}});
    return print_json(json);
  }
  std::printf("\nHeld-out loss %.4f nats a token, %.4f bits a byte", *s.result.val_loss,
              s.bits_per_byte);
  if (stories)
    std::printf(
        "; the grammar's own entropy is %.4f bits.\nOf %lld stories that it finished at "
        "temperature %.1f, the grammar accepts %lld (%.0f%%).\n",
        grammar_bits_per_byte(), static_cast<long long>(s.score.stories), temperature,
        static_cast<long long>(s.score.accepted), 100 * s.score.share());
  else
    std::printf(".\n");
  std::printf("%s tokens/s. What it writes:\n", format_count(s.result.tokens_per_second).c_str());
  for (size_t i = 0; i < 3 && i < s.samples.size(); ++i) {
    const std::string& text = s.samples[i];
    const size_t start = std::min(text.find_first_not_of('\n'), text.size());
    std::printf("\n  %s\n", text.substr(start, text.find('\n', start) - start).c_str());
  }
  std::printf(
      "\nThe run is in %s (loss.svg shows how it learned). Next:\n"
      "  weft generate %s --prompt \"%s\"\n"
      "  weft eval %s --json\n"
      "  weft train --resume %s --steps %lld\n",
      run_of(o).c_str(), run_of(o).c_str(), stories ? "One day" : "The", run_of(o).c_str(),
      run_of(o).c_str(), static_cast<long long>(2 * s.result.step));
}

void run_demo(const Options& o) {
  use(o.compute);
  const std::unique_ptr<train::Trainer> trainer = open(o);
  TrainSession session(*trainer, o.output.json);
  Summary s;
  s.result = session.run();
  if (!s.result.finished) {
    std::printf("saved at step %lld; go on with: weft demo --out %s --resume\n",
                static_cast<long long>(s.result.step), o.out.c_str());
    return;
  }
  const train::SplitInfo& val = trainer->data().info().val;
  const double bytes_per_token = double(val.bytes) / double(val.tokens - 1);
  s.bits_per_byte = s.result.val_loss.value_or(NAN) / std::log(2.0) / bytes_per_token;
  std::vector<PlotReference> references;
  if (o.text.empty())
    references.push_back(
        {"the grammar's entropy", story_entropy().nats_per_character * bytes_per_token});
  write_loss_plot(run_of(o), references);
  s.samples = tell(o, o.text.empty() ? "." + std::string(kStoryEnd) : "\n", 64);
  if (o.text.empty()) s.score = score_of(s.samples);
  report(o, s);
}

}  // namespace

void add_demo(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand(
      "demo", "train a GPT on little stories before your eyes (about two minutes on two cores)");
  c->add_option("--text", o->text, "train on this text file instead of stories");
  c->add_option("--out", o->out, "where everything goes")->capture_default_str();
  c->add_option("--steps", o->steps, "training steps")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  c->add_option("--seed", o->seed, "of the stories, the weights and the samples")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  c->add_flag("--resume", o->resume, "go on with an interrupted demo");
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o] { run_demo(*o); });
}

}  // namespace weft::cli
