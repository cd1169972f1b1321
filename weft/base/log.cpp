#include "weft/base/log.h"

#define SPDLOG_FMT_EXTERNAL
#include <cstdlib>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace weft {
namespace {

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = std::make_shared<spdlog::logger>(
        "weft", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("%H:%M:%S %^%l%$ %v");
    if (const char* level = std::getenv("WEFT_LOG"))
      made->set_level(spdlog::level::from_str(level));
    return made;
  }();
  return *instance;
}

}  // namespace

void log_debug(const std::string& text) {
  logger().debug(text);
}
void log_info(const std::string& text) {
  logger().info(text);
}
void log_warn(const std::string& text) {
  logger().warn(text);
}

}  // namespace weft
