// TOML: what is accepted has names that flags can have, and a refusal is one line.
#include <cstdlib>

#include "weft/base/error.h"
#include "weft/base/toml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    constexpr const char* flag_characters = "abcdefghijklmnopqrstuvwxyz0123456789-";
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto& [name, value] : weft::parse_toml(text, "input"))
      if (name.empty() || name.find_first_not_of(flag_characters) != std::string::npos ||
          name[0] == '-')
        std::abort();
  } catch (const weft::Error& error) {
    const std::string sentence = error.what();
    if (error.kind() != weft::ErrorKind::data || sentence.find('\n') != std::string::npos)
      std::abort();
  }
  return 0;
}
