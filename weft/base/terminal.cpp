#include "weft/base/terminal.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

#include "weft/base/format.h"

namespace weft {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// Three digits at least, a decimal place only below 100 and only if it says something:
// 4, 1.2, 12.3, 123.
std::string short_number(double x) {
  std::string text = format("{:.{}f}", x, x < 99.95 ? 1 : 0);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

// `n` in the largest unit of which it has at least one, after rounding: 999950 is 1M and not 1000K.
template <size_t N>
std::string with_unit(double n, double step, const char* const (&units)[N]) {
  size_t unit = 0;
  while (unit + 1 < N && std::abs(n) >= step - (unit == 0 ? 0.5 : 0.5 * step / 1000))
    n /= step, ++unit;
  if (unit == 0) return format("{:.0f}{}", n, units[0]);
  return (n < 0 ? "-" : "") + short_number(std::abs(n)) + units[unit];
}

}  // namespace

Terminal stderr_terminal() {
  Terminal terminal;
  terminal.interactive = isatty(STDERR_FILENO) != 0 && environment("TERM") != "dumb";
  terminal.color = terminal.interactive && environment("NO_COLOR").empty();
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    terminal.columns = size.ws_col;
  return terminal;
}

int display_width(std::string_view text) {
  int width = 0;
  bool escape = false;
  for (const char c : text) {
    if (escape) {
      escape = c != 'm' && c != 'K';
    } else if (c == '\x1b') {
      escape = true;
    } else if ((uint8_t(c) & 0xC0) != 0x80) {  // not the second or later byte of a character
      ++width;
    }
  }
  return width;
}

std::string format_count(double n) {
  if (!std::isfinite(n)) return "?";
  return with_unit(n, 1000, {"", "K", "M", "B", "T"});
}

std::string format_bytes(double bytes) {
  if (!std::isfinite(bytes)) return "?";
  return with_unit(bytes, 1024, {" B", " KiB", " MiB", " GiB", " TiB"});
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds == 0) return "0 s";
  if (seconds < 0.9995) return format("{:.0f} ms", seconds * 1000);
  if (seconds < 59.95) return short_number(seconds) + " s";
  const int64_t s = int64_t(std::llround(std::min(seconds, 1e15)));
  if (s < 3600) return format("{}m {:02}s", s / 60, s % 60);
  const int64_t m = (s + 30) / 60;
  if (m < 24 * 60) return format("{}h {:02}m", m / 60, m % 60);
  const int64_t h = (m + 30) / 60;
  return format("{}d {}h", h / 24, h % 24);
}

}  // namespace weft
