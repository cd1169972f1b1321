// weft eval
#include <cmath>
#include <cstdio>
#include <memory>

#include "weft/base/error.h"
#include "weft/cli/command.h"
#include "weft/train/dataset.h"
#include "weft/train/evaluate.h"

namespace weft::cli {
namespace {

std::string data_of(const train::LoadedModel& model, const std::string& path,
                    const std::string& given) {
  if (!given.empty()) return given;
  if (!model.run) user_error("{} does not say what it was trained on; give --data DIR", path);
  return train::read_run_config(path).data;
}

}  // namespace

void add_eval(CLI::App& app) {
  struct Options {
    std::string model, data, split = "val", dtype;
    int64_t context = 0;
    bool best = false;
    Compute compute;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand("eval", "the loss of a model on a whole split");
  c->add_option("MODEL", o->model, "a run folder or a Hugging Face directory")->required();
  c->add_option("--data", o->data, "a data directory; default: the one a run was trained on");
  c->add_option("--split", o->split, "val or train")
      ->check(CLI::IsMember({"val", "train"}))
      ->capture_default_str();
  c->add_option("--context", o->context, "tokens of a window; default: the model's");
  c->add_option("--dtype", o->dtype, "number type that computes; default: the model's")
      ->check(CLI::IsMember({"bf16", "f32"}));
  add_best(*c, o->best);
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o] {
    use(o->compute);
    train::LoadedModel model = load(o->model, o->best);
    const std::string data = data_of(model, o->model, o->data);
    const train::Dataset dataset(data);
    train::check_same_tokenizer(*model.tokenizer, o->model, dataset.tokenizer(), data);
    if (o->context < 0 || o->context > model.config.context)
      user_error("--context must be from 1 to the model's {}, got {}", model.config.context,
                 o->context);
    if (o->context > 0) model.config.context = o->context;
    const bool val = o->split == "val";
    const train::Evaluation e = train::evaluate(
        model.params, model.config, parse_dtype(o->dtype.empty() ? model.dtype : o->dtype),
        val ? dataset.val() : dataset.train(), dataset.info().document_start);
    const train::SplitInfo& info = val ? dataset.info().val : dataset.info().train;
    const double bits_per_byte =
        info.bytes ? e.loss * double(e.tokens) / std::log(2.0) / double(info.bytes) : 0;
    if (o->output.json)
      print_json({{"model", o->model},
                  {"step", model.step},
                  {"split", o->split},
                  {"loss", e.loss},
                  {"tokens", e.tokens},
                  {"perplexity", std::exp(e.loss)},
                  {"bits_per_byte", bits_per_byte}});
    else
      std::printf(
          "step %lld, %s: loss %.4f nats a token over %lld tokens, perplexity %.3f, %.4f bits a "
          "byte\n",
          static_cast<long long>(model.step), o->split.c_str(), e.loss,
          static_cast<long long>(e.tokens), std::exp(e.loss), bits_per_byte);
  });
}

}  // namespace weft::cli
