// safetensors: the views of a file that is accepted have the size of their shape and cover the data
// exactly.
#include <cstdlib>

#include "weft/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const weft::Bytes file = std::as_bytes(std::span(data, size));
    const weft::Safetensors content = weft::parse_safetensors(file, "input");
    size_t covered = 0, sum = 0;
    for (const auto& [name, tensor] : content.tensors) {
      if (tensor.bytes.size() != size_t(tensor.shape.elements()) * weft::dtype_size(tensor.dtype))
        std::abort();
      covered += tensor.bytes.size();
      for (const std::byte b : tensor.bytes) sum += size_t(b);  // reads every byte
    }
    if (covered > size || sum > 255 * size) std::abort();
  } catch (const weft::Error& error) {
    if (error.kind() != weft::ErrorKind::data) std::abort();
  }
  return 0;
}
