// One token for each byte: id = byte. Every text, and every byte string, can be encoded.
#pragma once
#include "weft/text/tokenizer.h"

namespace weft {

class ByteTokenizer final : public Tokenizer {
 public:
  std::string_view name() const override { return "byte"; }
  int32_t vocab_size() const override { return 256; }
  std::vector<int32_t> encode(std::string_view text) const override;
  std::string_view piece(int32_t id) const override;
  Json to_json() const override;
};

}  // namespace weft
