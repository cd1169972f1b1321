// How tokens are chosen: the flags that generate and chat share.
#pragma once
#include <CLI/CLI.hpp>

#include "weft/engine/engine.h"
#include "weft/train/loaded_model.h"

namespace weft::cli {

void add_sampling(CLI::App& command, engine::GenerateOptions& options);

// What the model's generation_config.json says and the command line does not, and the tokens that
// end its texts.
void take_defaults(const CLI::App& command, const models::GenerationConfig& config,
                   engine::GenerateOptions& options);

}  // namespace weft::cli
