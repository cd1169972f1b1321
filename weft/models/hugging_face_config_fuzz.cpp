// config.json and generation_config.json: what is accepted makes a model whose config can be
// written, and reads as the same model again; or transformers has no such mixture.
#include <cstdlib>

#include "weft/base/json.h"
#include "weft/models/hugging_face_config.h"

namespace {

void check(const weft::Json& json) {
  using namespace weft::models;
  HuggingFaceConfig config = hugging_face_config(json, "config.json");
  if (config.model.hidden == 0) config.model.hidden = 4 * config.model.width;
  const weft::Json written = to_hugging_face(config);
  if (to_hugging_face(hugging_face_config(written, "again")) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const weft::Json json = weft::parse_json(text, "input", {.max_depth = 16});
    weft::models::generation_config(json, 64, "generation_config.json");
    check(json);
  } catch (const weft::Error& error) {
    if (error.kind() == weft::ErrorKind::internal) std::abort();
  }
  return 0;
}
