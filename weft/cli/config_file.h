// weft train --config FILE.toml: `key = value` for the keys of a run (train/config.h) and the other
// flags of the command, with _ or - in their names.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace weft::cli {

struct ConfigFileLimits {
  size_t bytes = size_t(16) << 10;  // toml++ goes one call deeper for each dot of a key
  size_t keys = 256;
};

// One command-line word for each key: min_lr = 0.1 is "--min-lr=0.1". Error(data) naming `what`
// and the place when the text is no TOML, exceeds a limit or holds anything but strings, numbers
// and booleans under names that a flag can have.
std::vector<std::string> parse_config_words(std::string_view text, const std::string& what,
                                            const ConfigFileLimits& limits = {});
std::vector<std::string> read_config_words(const std::string& path,
                                           const ConfigFileLimits& limits = {});

}  // namespace weft::cli
