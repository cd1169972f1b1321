// JSON: what parses can be dumped, and parses again to the same.
#include <cstdlib>

#include "weft/base/error.h"
#include "weft/base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weft::Json;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const Json value = weft::parse_json(text, "input");
    const std::string dumped = weft::dump_json(value);
    if (weft::dump_json(weft::parse_json(dumped, "dump")) != dumped) std::abort();
  } catch (const weft::Error& error) {
    if (error.kind() != weft::ErrorKind::data) std::abort();
  }
  return 0;
}
