// The index of documents: an accepted one has documents that follow one another to the last token.
#include <cstdlib>

#include "weft/base/error.h"
#include "weft/io/documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const weft::DocumentIndex index =
        weft::parse_document_index(std::as_bytes(std::span(data, size)), "input", 12);
    if (index.ends.empty() || index.ends.back() != 12) std::abort();
  } catch (const weft::Error& error) {
    if (error.kind() != weft::ErrorKind::data) std::abort();
  }
  return 0;
}
