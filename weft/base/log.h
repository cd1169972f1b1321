// Logs go to stderr, results to stdout. WEFT_LOG=debug|info|warn|error sets the level (info).
#pragma once
#include <string>

#include "weft/base/format.h"

namespace weft {

void log_debug(const std::string& text);
void log_info(const std::string& text);
void log_warn(const std::string& text);

}  // namespace weft
