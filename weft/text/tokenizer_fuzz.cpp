// Tokenizer files: every token of an accepted character or byte tokenizer encodes to itself,
// streams decode to UTF-8, and what a tokenizer wrote reads as the same. The bytes after the first
// NUL are text for it.
#include <algorithm>
#include <cstdlib>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"
#include "weft/text/tokenizer.h"

namespace {

// Whether every token, and every text that can be encoded, survives.
bool is_exact(const weft::Tokenizer& tokenizer) {
  return tokenizer.name() == "char" || tokenizer.name() == "byte";
}

void check_tokens(const weft::Tokenizer& tokenizer) {
  const int32_t n = std::min(tokenizer.vocab_size(), 1000);
  weft::StreamDecoder decoder(tokenizer);
  for (int32_t id = 0; id < n; ++id) {
    if (is_exact(tokenizer) && tokenizer.encode(tokenizer.piece(id)) != std::vector<int32_t>{id})
      std::abort();
    if (weft::find_invalid_utf8(decoder.push(id)) != std::string::npos) std::abort();
  }
}

// The other tokenizers may normalize a text, take white space into a token, or remove parts.
void check_text(const weft::Tokenizer& tokenizer, std::string_view text) {
  try {
    const std::vector<int32_t> ids = tokenizer.encode(text);
    const std::string decoded = tokenizer.decode(ids);
    if (is_exact(tokenizer) && decoded != text) std::abort();
    const auto again = weft::tokenizer_from_json(tokenizer.to_json(), "written");
    if (again->encode(text) != ids || again->decode(ids) != decoded) std::abort();
  } catch (const weft::Error& error) {
    if (error.kind() == weft::ErrorKind::internal) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = std::min(input.find('\0'), size);
  try {
    const auto tokenizer =
        weft::tokenizer_from_json(weft::parse_json(input.substr(0, nul), "input"), "input");
    check_tokens(*tokenizer);
    check_text(*tokenizer, input.substr(nul));
  } catch (const weft::Error& error) {
    if (error.kind() != weft::ErrorKind::data) std::abort();
  }
  return 0;
}
