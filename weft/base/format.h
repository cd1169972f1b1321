// String formatting: fmt, compiled once (format.cpp). Include this, not <fmt/...>.
#pragma once
#include <fmt/core.h>
#include <string>

namespace weft {
using fmt::format;
}  // namespace weft
