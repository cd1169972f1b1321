// The index of a sharded model: no accepted file name leads out of the directory.
#include <cstdlib>

#include "weft/base/error.h"
#include "weft/io/sharded_safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto& [tensor, file] : weft::parse_safetensors_index(text, "input"))
      if (file.find('/') != file.npos || file.starts_with("..")) std::abort();
  } catch (const weft::Error& error) {
    if (error.kind() != weft::ErrorKind::data) std::abort();
  }
  return 0;
}
