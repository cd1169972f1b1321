// What the commands share. A command is one file with one function that adds its subcommand:
// options, help, and what to do. Results go to stdout, logs and progress to stderr; errors are
// thrown as weft::Error and end in main().
#pragma once
#include <CLI/CLI.hpp>
#include <string>

#include "weft/base/json.h"
#include "weft/train/loaded_model.h"

namespace weft::cli {

void add_demo(CLI::App& app);
void add_data(CLI::App& app);
void add_train(CLI::App& app);
void add_eval(CLI::App& app);
void add_generate(CLI::App& app);
void add_chat(CLI::App& app);
void add_info(CLI::App& app);
void add_export(CLI::App& app);
void add_bench(CLI::App& app);

// --json on every command: one object on one line instead of text.
struct Output {
  bool json = false;
};
void add_output(CLI::App& command, Output& output);
void print_json(const Json& json);

// --threads and the device it asks for, made the default device. 0: all processors.
struct Compute {
  int threads = 0;
};
void add_compute(CLI::App& command, Compute& compute);
void use(const Compute& compute);

// --best, and the model it means: a run's newest or best weights, or a Hugging Face directory.
void add_best(CLI::App& command, bool& best);
train::LoadedModel load(const std::string& path, bool best);

}  // namespace weft::cli
