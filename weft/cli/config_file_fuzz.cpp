// TOML of --config: what is accepted becomes words of the form --name=value, and a refusal is one
// line.
#include <cstdlib>

#include "weft/base/error.h"
#include "weft/cli/config_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const std::string& word : weft::cli::parse_config_words(text, "input"))
      if (!word.starts_with("--") || word.find('=') < 3 || word.find('=') == std::string::npos)
        std::abort();
  } catch (const weft::Error& error) {
    const std::string sentence = error.what();
    if (error.kind() != weft::ErrorKind::data || sentence.find('\n') != std::string::npos)
      std::abort();
  }
  return 0;
}
