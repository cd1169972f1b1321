// A run's config: what is accepted holds every key inside its limits, is written as it was read,
// and either can be trained or is refused in a sentence.
#include <cstdlib>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/train/config.h"

namespace {

using weft::train::TrainConfig;

void check(TrainConfig config) {
  const weft::Json json = weft::train::to_json(config);
  if (weft::train::to_json(weft::train::config_from_json(json, "written")) != json) std::abort();
  config.model.vocab = 65;
  try {
    weft::train::validate(config);
  } catch (const weft::Error& error) {
    if (error.kind() != weft::ErrorKind::user) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    // The keys of the input over the defaults: otherwise almost no input has them all.
    weft::Json json = weft::train::to_json({});
    const weft::Json input = weft::parse_json(text, "input");
    if (input.is_object()) json.update(input);
    check(weft::train::config_from_json(json, "input"));
    check(weft::train::config_from_json(input, "input"));
  } catch (const weft::Error& error) {
    if (error.kind() != weft::ErrorKind::data) std::abort();
  }
  return 0;
}
