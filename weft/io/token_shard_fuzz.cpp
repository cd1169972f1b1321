// Token shards in every format: each id of an accepted file is inside its vocabulary.
#include <cstdlib>
#include <vector>

#include "weft/base/error.h"
#include "weft/io/token_shard.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weft::TokenFormat;
  const weft::Bytes file = std::as_bytes(std::span(data, size));
  for (const TokenFormat format : {TokenFormat::automatic, TokenFormat::weft, TokenFormat::nanogpt,
                                   TokenFormat::llmc, TokenFormat::any}) {
    try {
      const weft::TokenView view = weft::parse_token_shard(file, "input", 50257, format);
      std::vector<int32_t> tokens(size_t(view.size()));
      view.copy(0, tokens);
      for (const int32_t token : tokens)
        if (token < 0 || token >= view.vocab_size) std::abort();
    } catch (const weft::Error& error) {
      if (error.kind() != weft::ErrorKind::data) std::abort();
    }
  }
  return 0;
}
