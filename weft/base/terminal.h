// What people read: the terminal behind stderr, and numbers as people say them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weft {

struct Terminal {
  bool interactive = false;  // a person is looking: lines may be redrawn
  bool color =
      false;  // escape codes for colour are welcome: NO_COLOR is not set, TERM is not "dumb"
  int columns = 80;
};
// As it is now: a window may change its width at any time.
Terminal stderr_terminal();

// Columns that a UTF-8 text takes: one per character, none for an escape code.
int display_width(std::string_view text);

std::string format_count(double n);      // 999, 1.2K, 12.3M, 4B; for 1.2M parameters, 13.1K tokens
std::string format_bytes(double bytes);  // 512 B, 1.5 KiB, 20 MiB
std::string format_duration(double seconds);  // 12 ms, 3.4 s, 2m 05s, 1h 02m, 3d 4h

}  // namespace weft
