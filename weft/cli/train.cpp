// weft train
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>

#include "weft/base/error.h"
#include "weft/base/progress.h"
#include "weft/cli/command.h"
#include "weft/cli/train_session.h"
#include "weft/train/trainer.h"

namespace weft::cli {
namespace {

struct TrainOptions {
  train::TrainConfig config;
  std::string data, out, resume, init;
  int64_t stop_after = 0;
  Compute compute;
  Output output;
};

std::string flag_name(std::string key) {
  for (char& c : key)
    if (c == '_') c = '-';
  return "--" + key;
}

// One flag for every key of the config, with its help and default.
struct AddFlags {
  CLI::App& command;
  void operator()(const char* key, int64_t& value, int64_t low, int64_t high,
                  const char* help) const {
    command.add_option(flag_name(key), value, help)
        ->check(CLI::Range(low, high))
        ->capture_default_str();
  }
  void operator()(const char* key, double& value, double low, double high, const char* help) const {
    command.add_option(flag_name(key), value, help)
        ->check(CLI::Range(low, high))
        ->capture_default_str();
  }
  void operator()(const char* key, bool& value, const char* help) const {
    const std::string name = flag_name(key).substr(2);
    command.add_flag(format("--{},!--no-{}", name, name), value, help)->capture_default_str();
  }
  void operator()(const char* key, std::string& value, const std::vector<std::string>& choices,
                  const char* help) const {
    command.add_option(flag_name(key), value, help)
        ->check(CLI::IsMember(choices))
        ->capture_default_str();
  }
};

std::unique_ptr<train::Trainer> open(const TrainOptions& o, bool steps_given) {
  if (o.resume.empty()) {
    if (o.data.empty() || o.out.empty())
      user_error("weft train needs --data DIR and --out RUN, or --resume RUN");
    return train::Trainer::create(o.config, o.data, o.out, posix_file_system(), o.init);
  }
  train::ResumeOptions options;
  if (steps_given) options.steps = o.config.steps;
  if (!o.data.empty()) options.data = o.data;
  return train::Trainer::resume(o.resume, options);
}

// A model to start from brings its sizes with it.
void use_sizes_of_init(const CLI::App& command, train::TrainConfig& config) {
  const auto refuse = [&](const char* key, auto&&...) {
    if (command.count(flag_name(key)) > 0)
      user_error("{} is that of the model that --init names; leave it out", flag_name(key));
  };
  train::for_each_model_key(config, refuse);
  if (command.count("--context") == 0) config.model.context = 0;  // as large as makes sense
}

}  // namespace

void add_train(CLI::App& app) {
  auto o = std::make_shared<TrainOptions>();
  CLI::App* c = app.add_subcommand("train", "train a model, or go on with a run");
  c->add_option("--data", o->data,
                "a directory made by weft data prepare; several are mixed as A:0.7,B:0.3");
  c->add_option("--out", o->out, "the run folder to make");
  c->add_option("--resume", o->resume, "go on with this run; --steps N extends its plan");
  c->add_option("--init", o->init,
                "weights to start from: a run folder or a Hugging Face directory");
  c->add_option("--stop-after", o->stop_after, "stop at this step as an interrupt would")
      ->check(CLI::NonNegativeNumber);
  c->add_option("--config", "a TOML file with these keys; a flag beats the file");
  train::for_each_key(o->config, AddFlags{*c});
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o, c] {
    use(o->compute);
    if (!o->init.empty()) use_sizes_of_init(*c, o->config);
    const auto trainer = open(*o, c->count("--steps") > 0);
    TrainSession session(*trainer, o->output.json);
    const train::TrainResult result = session.run(o->stop_after);
    session.report(result, o->resume.empty() ? o->out : o->resume);
  });
}

}  // namespace weft::cli
