// weft eval
#include <cmath>
#include <cstdio>
#include <memory>

#include "weft/base/error.h"
#include "weft/cli/command.h"
#include "weft/train/dataset.h"
#include "weft/train/evaluate.h"
#include "weft/train/run_folder.h"

namespace weft::cli {

void add_eval(CLI::App& app) {
  struct Options {
    std::string run, data, split = "val";
    bool best = false;
    Compute compute;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand("eval", "the loss of a run's model on a whole split");
  c->add_option("RUN", o->run, "a run folder")->required();
  c->add_option("--data", o->data, "a data directory; default: the one it was trained on");
  c->add_option("--split", o->split, "val or train")
      ->check(CLI::IsMember({"val", "train"}))
      ->capture_default_str();
  c->add_flag("--best", o->best,
              "the weights with the lowest validation loss instead of the newest");
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o] {
    use(o->compute);
    const train::LoadedRun run =
        train::load_run(o->run, o->best ? train::Weights::best : train::Weights::newest);
    const std::string data = o->data.empty() ? train::read_run_config(o->run).data : o->data;
    const train::Dataset dataset(data);
    if (dataset.info().vocab != run.config.model.vocab)
      user_error("{} has a vocabulary of {}, the model of {} one of {}", data, dataset.info().vocab,
                 o->run, run.config.model.vocab);
    const bool val = o->split == "val";
    const train::Evaluation e =
        train::evaluate(run.params, run.config.model, parse_dtype(run.config.dtype),
                        val ? dataset.val() : dataset.train());
    const train::SplitInfo& info = val ? dataset.info().val : dataset.info().train;
    const double bits_per_byte =
        info.bytes ? e.loss * double(e.tokens) / std::log(2.0) / double(info.bytes) : 0;
    if (o->output.json)
      print_json({{"run", o->run},
                  {"step", run.step},
                  {"split", o->split},
                  {"loss", e.loss},
                  {"tokens", e.tokens},
                  {"perplexity", std::exp(e.loss)},
                  {"bits_per_byte", bits_per_byte}});
    else
      std::printf(
          "step %lld, %s: loss %.4f nats a token over %lld tokens, perplexity %.3f, %.4f bits a "
          "byte\n",
          static_cast<long long>(run.step), o->split.c_str(), e.loss,
          static_cast<long long>(e.tokens), std::exp(e.loss), bits_per_byte);
  });
}

}  // namespace weft::cli
