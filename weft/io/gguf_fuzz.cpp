// GGUF metadata: what is accepted has no more in it than the file has bytes.
#include <cstdlib>

#include "weft/base/error.h"
#include "weft/io/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const weft::GgufMetadata metadata =
        weft::parse_gguf_metadata(std::as_bytes(std::span(data, size)), "input");
    size_t bytes = 0;
    for (const auto& [key, value] : metadata.values()) {
      bytes += key.size() + 8;
      if (const auto* text = std::get_if<std::string>(&value)) bytes += text->size();
      if (const auto* texts = std::get_if<std::vector<std::string>>(&value))
        for (const std::string& text : *texts) bytes += text.size() + 8;
      if (const auto* numbers = std::get_if<std::vector<int64_t>>(&value)) bytes += numbers->size();
    }
    if (bytes > size) std::abort();
  } catch (const weft::Error& error) {
    if (error.kind() != weft::ErrorKind::data) std::abort();
  }
  return 0;
}
