// weft export
#include <cstdio>
#include <memory>

#include "weft/base/terminal.h"
#include "weft/cli/command.h"
#include "weft/train/loaded_model.h"

namespace weft::cli {

void add_export(CLI::App& app) {
  struct Options {
    std::string model, out, dtype;
    uint64_t most_bytes = train::ExportOptions().most_bytes;
    bool best = false;
    Compute compute;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand("export", "a model as a directory that transformers reads");
  c->add_option("MODEL", o->model, "a run folder or a Hugging Face directory")->required();
  c->add_option("--out", o->out, "the directory to make")->required();
  c->add_option("--dtype", o->dtype, "of the weights; default: the type the model computes in")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  c->add_option("--shard-bytes", o->most_bytes, "most bytes of one file of weights")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_best(*c, o->best);
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o] {
    use(o->compute);
    const train::LoadedModel model = load(o->model, o->best);
    const std::string dtype = o->dtype.empty() ? model.dtype : o->dtype;
    train::export_model(o->model, model, o->out, {dtype, o->most_bytes});
    const int64_t parameters = models::parameter_count(model.params);
    if (o->output.json)
      print_json({{"out", o->out}, {"parameters", parameters}, {"dtype", dtype}});
    else
      std::printf("%s: %s parameters in %s\ntry: weft generate %s --prompt \"...\"\n",
                  o->out.c_str(), format_count(double(parameters)).c_str(), dtype.c_str(),
                  o->out.c_str());
  });
}

}  // namespace weft::cli
