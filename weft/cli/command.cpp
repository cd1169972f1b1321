#include "weft/cli/command.h"

#include <cstdio>
#include <memory>

#include "weft/base/error.h"
#include "weft/graph/tensor.h"

namespace weft::cli {

void add_output(CLI::App& command, Output& output) {
  command.add_flag("--json", output.json, "print one JSON object a line instead of text");
}

void print_json(const Json& json) {
  std::fputs((dump_json(json) + "\n").c_str(), stdout);
  std::fflush(stdout);
}

void add_compute(CLI::App& command, Compute& compute) {
  command.add_option("--threads", compute.threads, "threads of the CPU; 0: one a processor")
      ->capture_default_str();
}

void use(const Compute& compute) {
  // Lives as long as the process: tensors hold its memory.
  static std::unique_ptr<CpuDevice> device;
  device = std::make_unique<CpuDevice>(compute.threads);
  set_default_device(*device);
}

void add_best(CLI::App& command, bool& best) {
  command.add_flag("--best", best,
                   "the weights with the lowest validation loss instead of the newest");
}

train::LoadedModel load(const std::string& path, bool best) {
  return train::load_model(path, best ? train::Weights::best : train::Weights::newest);
}

}  // namespace weft::cli
