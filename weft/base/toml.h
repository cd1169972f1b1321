// TOML from untrusted bytes, as config files use it here: flat `key = value`, where a key is the
// name of a command's flag with _ or - inside.
#pragma once
#include <map>
#include <string>
#include <string_view>

namespace weft {

struct TomlLimits {
  size_t bytes = size_t(16) << 10;  // toml++ goes one call deeper for each dot of a key
  size_t keys = 256;
};

// Values as text by flag: {"min-lr", "0.1"} for min_lr = 1e-1. Error(data) naming `what` and the
// place when the text is no TOML, exceeds a limit or holds anything but strings, numbers and
// booleans under names that a flag can have.
std::map<std::string, std::string> parse_toml(std::string_view text, const std::string& what,
                                              const TomlLimits& limits = {});

// Reads the file `path` and parses it.
std::map<std::string, std::string> read_toml(const std::string& path,
                                             const TomlLimits& limits = {});

}  // namespace weft
