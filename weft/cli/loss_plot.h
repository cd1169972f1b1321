// loss.svg from metrics.jsonl.
#pragma once
#include <string>
#include <vector>

#include "weft/base/svg.h"

namespace weft::cli {

// Training loss (averaged over about 200 stretches) and validation loss by step, with reference
// lines; written atomically to <run>/loss.svg.
void write_loss_plot(const std::string& run, const std::vector<PlotReference>& references = {});

}  // namespace weft::cli
