// weft info
#include <cstdio>
#include <memory>

#include "weft/base/terminal.h"
#include "weft/cli/command.h"
#include "weft/train/run_folder.h"
#include "weft_version.h"

namespace weft::cli {

void add_info(CLI::App& app) {
  struct Options {
    std::string run;
    Compute compute;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand("info", "this build and machine, or what a run folder holds");
  c->add_option("RUN", o->run, "a run folder");
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o] {
    use(o->compute);
    Json json{{"version", WEFT_VERSION},
              {"commit", WEFT_COMMIT},
              {"device", default_device().description()}};
    if (!o->run.empty()) {
      const train::LoadedRun run = train::load_run(o->run);
      json = {{"run", o->run},
              {"step", run.step},
              {"parameters", models::parameter_count(run.params)},
              {"vocab", run.config.model.vocab},
              {"tokenizer", std::string(run.tokenizer->name())},
              {"config", train::to_json(run.config)}};
    }
    if (o->output.json) return print_json(json);
    std::printf("%s\n", dump_json(json, 2).c_str());
  });
}

}  // namespace weft::cli
