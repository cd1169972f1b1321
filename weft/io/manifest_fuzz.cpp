// Checkpoint manifests: one that is accepted is written back as one that reads the same. The
// manifest's own checksum would stop almost every input, so the input is also tried with the right
// one put in.
#include <cstdlib>

#include "weft/io/checkpoint_files.h"

namespace {

void check(std::string_view text) {
  try {
    const std::string written = weft::dump_manifest(weft::parse_manifest(text, "input"));
    if (weft::dump_manifest(weft::parse_manifest(written, "written")) != written) std::abort();
  } catch (const weft::Error& error) {
    if (error.kind() != weft::ErrorKind::data) std::abort();
  }
}

// The text with the checksum that its other fields have, if it is an object.
std::string with_right_checksum(std::string_view text) {
  weft::Json json = weft::parse_json(text, "input");
  if (!json.is_object()) return "";
  json.erase("sha256");
  json["sha256"] = weft::to_hex(weft::sha256(weft::dump_json(json)));
  return weft::dump_json(json);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text);
  try {
    check(with_right_checksum(text));
  } catch (const weft::Error&) {
    return 0;  // not JSON
  }
  return 0;
}
