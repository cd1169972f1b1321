// weft info
#include <cstdio>
#include <memory>

#include "weft/base/terminal.h"
#include "weft/cli/command.h"
#include "weft/cli/gpus.h"
#include "weft_version.h"

namespace weft::cli {
namespace {

Json describe(const std::string& path) {
  const train::LoadedModel model = load(path, false);
  Json json{{"model", path},
            {"parameters", models::parameter_count(model.params)},
            {"vocab", model.config.vocab},
            {"tokenizer", std::string(model.tokenizer->name())}};
  if (model.run) json["step"] = model.step;
  json["config"] = model.run ? train::to_json(*model.run)
                             : models::to_hugging_face({model.config, parse_dtype(model.dtype)});
  return json;
}

}  // namespace

void add_info(CLI::App& app) {
  struct Options {
    std::string model;
    bool devices = false;
    Compute compute;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand("info", "this build and machine, or what a model is");
  c->add_option("MODEL", o->model, "a run folder or a Hugging Face directory");
  c->add_flag("--devices", o->devices, "look for GPUs and measure their rates");
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o] {
    use(o->compute);
    Json json{{"version", WEFT_VERSION},
              {"commit", WEFT_COMMIT},
              {"device", default_device().description()}};
    if (o->devices) json["gpus"] = describe_gpus();
    if (!o->model.empty()) json = describe(o->model);
    if (o->output.json) return print_json(json);
    std::printf("%s\n", dump_json(json, 2).c_str());
  });
}

}  // namespace weft::cli
