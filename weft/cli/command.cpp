#include "weft/cli/command.h"

#include <cstdio>
#include <memory>
#include <toml++/toml.h>

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

std::vector<std::string> config_words(const std::string& path) {
  toml::table table;
  try {
    table = toml::parse_file(path);
  } catch (const toml::parse_error& e) {
    data_error("{}: line {}: {}", path, e.source().begin.line, e.description());
  }
  std::vector<std::string> words;
  for (const auto& [key, value] : table) {
    const std::string name(key.str());
    if (const auto flag = value.value_exact<bool>()) {
      words.push_back(format("--{}={}", name, *flag));
      continue;
    }
    words.push_back("--" + name);
    if (const auto text = value.value_exact<std::string>())
      words.push_back(*text);
    else if (const auto integer = value.value_exact<int64_t>())
      words.push_back(std::to_string(*integer));
    else if (const auto real = value.value_exact<double>())
      words.push_back(format("{}", *real));
    else
      data_error("{}: \"{}\" must be a string, a number or a boolean", path, name);
  }
  return words;
}

}  // namespace weft::cli
