// weft demo: the main job in one command. Makes a corpus of stories and dialogues (or takes a
// text), learns its tokens, trains a Llama on it, holds its loss against what the grammar allows,
// lets it write, add and talk, and leaves it as a directory that transformers reads.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/log.h"
#include "weft/base/terminal.h"
#include "weft/cli/command.h"
#include "weft/cli/demo_config.h"
#include "weft/cli/demo_exam.h"
#include "weft/cli/loss_plot.h"
#include "weft/cli/train_session.h"
#include "weft/text/bpe_train.h"
#include "weft/text/story_grammar.h"
#include "weft/train/dataset.h"

namespace weft::cli {
namespace {

struct DemoOptions {
  std::string text, out = "weft-demo";
  bool large = false, resume = false;
  int64_t steps = 0, seed = 1;
  Compute compute;
  Output output;

  // A run folder with its data and its export beside it.
  std::string run() const { return out + "/run"; }
  std::string data() const { return out + "/data"; }
  std::string model() const { return out + "/model"; }
};

train::TrainConfig config_of(const DemoOptions& o) {
  train::TrainConfig c = demo_config(o.large);
  c.seed = o.seed;
  if (o.steps > 0) c.steps = o.steps;
  return c;
}

// Texts are ASCII: a character is a byte.
double entropy_bits_per_byte() {
  return nats_per_character(primer_grammar()) / std::log(2.0);
}

void prepare_primer(const DemoOptions& o) {
  constexpr size_t train_bytes = 8 << 20, val_bytes = 128 << 10;
  const int64_t vocab_size = config_of(o).model.vocab;
  const Grammar& grammar = primer_grammar();
  const std::string train = make_corpus(grammar, uint64_t(o.seed), train_bytes);
  const std::string val =
      make_corpus(grammar, uint64_t(o.seed), val_bytes, CorpusSplit::validation);
  log_info(
      format("{} of stories and dialogues with sums, by a grammar: its entropy is {:.4f} bits "
             "a byte, and no model can do better",
             format_bytes(double(train_bytes)), entropy_bits_per_byte()));
  ThreadPool pool(int(std::max(std::thread::hardware_concurrency(), 1u)));
  const std::string_view text = train;
  const auto tokenizer = train_bpe({&text, 1}, {.vocab_size = vocab_size, .start = {0}}, pool);
  const std::vector<std::string_view> trains = split_corpus(train), vals = split_corpus(val);
  const train::DataInfo info =
      train::write_dataset(train::Texts(trains), train::Texts(vals), *tokenizer, o.data());
  log_info(format("{} tokens learned from them, {:.1f} bytes each in the mean", vocab_size,
                  double(info.train.bytes) / double(info.train.tokens)));
}

std::unique_ptr<train::Trainer> open(const DemoOptions& o) {
  if (o.resume) return train::Trainer::resume(o.run());
  if (path_exists(o.run()))
    user_error(
        "{} holds a demo already; go on with it: weft demo --out {} --resume, or choose another "
        "--out",
        o.out, o.out);
  std::filesystem::create_directories(o.out);
  if (o.text.empty())
    prepare_primer(o);
  else
    train::prepare({.text = o.text, .out = o.data()});
  return train::Trainer::create(config_of(o), o.data(), o.run());
}

// Whose texts: a text of the user's is read by characters.
bool is_primer(const train::Trainer& trainer) {
  return trainer.data().tokenizer().name() == "bpe";
}

double bytes_per_token(const train::Trainer& trainer) {
  const train::SplitInfo& val = trainer.data().info().val;
  return double(val.bytes) / double(val.tokens - val.documents);
}

struct Summary {
  train::TrainResult result;
  bool primer = true;  // the grammar's texts, not one of the user's
  double bits_per_byte = 0;
  ExamResult exam = {};  // of a primer
};

void report_json(const DemoOptions& o, const Summary& s) {
  Json json{{"event", "demo"},
            {"run", o.run()},
            {"model", o.model()},
            {"step", s.result.step},
            {"val_loss", s.result.val_loss.value_or(NAN)},
            {"bits_per_byte", s.bits_per_byte},
            {"tokens_per_second", s.result.tokens_per_second}};
  if (s.primer)
    json.update(Json{{"grammar_bits_per_byte", entropy_bits_per_byte()},
                     {"texts", s.exam.texts},
                     {"accepted", s.exam.accepted},
                     {"sums", s.exam.sums},
                     {"sums_right", s.exam.right}});
  print_json(json);
}

void print_indented(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) std::printf("  %.*s\n", int(end), text.data());
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void report_exam(const Summary& s) {
  const auto count = [](int64_t n) { return static_cast<long long>(n); };
  const auto percent = [](int64_t n, int64_t of) { return 100 * double(n) / double(of); };
  const int64_t texts = int64_t(s.exam.texts.size());
  std::printf(
      "Of %lld texts that it wrote from nothing, at temperature %.1f, the grammar accepts %lld "
      "(%.0f%%).\nOf %lld sums it has %lld right (%.0f%%).\n\nTwo of the texts:\n",
      count(texts), s.exam.temperature, count(s.exam.accepted), percent(s.exam.accepted, texts),
      count(s.exam.sums), count(s.exam.right), percent(s.exam.right, s.exam.sums));
  for (size_t i = 0; i < 2; ++i) std::printf("\n"), print_indented(s.exam.texts[i]);
}

void report_next(const DemoOptions& o, const Summary& s) {
  const std::string run = o.run();
  std::printf(
      "\n%s/loss.svg shows how it learned; %s is the model as transformers reads it. Next:\n",
      run.c_str(), o.model().c_str());
  if (s.primer) std::printf("  weft chat %s\n", run.c_str());
  std::printf(
      "  weft generate %s --prompt \"%s\"\n  weft eval %s\n  weft train --resume %s --steps %lld\n",
      run.c_str(), s.primer ? "One rainy day, Mia" : "The", run.c_str(), run.c_str(),
      static_cast<long long>(2 * s.result.step));
}

void report(const DemoOptions& o, const Summary& s, const train::LoadedModel& model) {
  std::printf("\nHeld out: %.4f bits a byte", s.bits_per_byte);
  if (s.primer) {
    std::printf(", %.2f times the grammar's entropy of %.4f.\n",
                s.bits_per_byte / entropy_bits_per_byte(), entropy_bits_per_byte());
    report_exam(s);
    std::printf("\nA conversation:\n\n");
    converse(model, uint64_t(o.seed));
  } else {
    std::printf(".\n");
  }
  report_next(o, s);
}

void run_demo(const DemoOptions& o) {
  use(o.compute);
  const std::unique_ptr<train::Trainer> trainer = open(o);
  const bool primer = is_primer(*trainer);
  const double floor =
      primer ? nats_per_character(primer_grammar()) * bytes_per_token(*trainer) : 0;
  TrainSession session(*trainer, o.output.json, floor);
  Summary s{.result = session.run(), .primer = primer};
  if (!s.result.finished) {
    std::printf("saved at step %lld; go on with: weft demo --out %s --resume\n",
                static_cast<long long>(s.result.step), o.out.c_str());
    return;
  }
  s.bits_per_byte = s.result.val_loss.value_or(NAN) / std::log(2.0) / bytes_per_token(*trainer);
  std::vector<PlotReference> references;
  if (floor > 0) references.push_back({"the grammar's entropy", floor});
  write_loss_plot(o.run(), references);
  const train::LoadedModel model = train::load_model(o.run());
  if (path_exists(o.model())) remove_tree(o.model());
  train::export_model(o.run(), model, o.model(), {.dtype = model.dtype});
  if (primer) s.exam = examine(model, uint64_t(o.seed));
  if (o.output.json)
    report_json(o, s);
  else
    report(o, s, model);
}

}  // namespace

void add_demo(CLI::App& app) {
  auto o = std::make_shared<DemoOptions>();
  CLI::App* c = app.add_subcommand(
      "demo", "train a Llama before your eyes and talk with it (about three minutes on two cores)");
  c->add_option("--text", o->text, "train on this text file instead of stories and dialogues");
  c->add_option("--out", o->out, "where everything goes")->capture_default_str();
  c->add_flag("--large", o->large, "11M parameters instead of 1.1M: about ten minutes");
  c->add_option("--steps", o->steps, "training steps; 0: 4800, or 1200 with --large")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  c->add_option("--seed", o->seed, "of the texts, the weights and the samples")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  c->add_flag("--resume", o->resume, "go on with an interrupted demo");
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o] { run_demo(*o); });
}

}  // namespace weft::cli
