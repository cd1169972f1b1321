// Files of token ids, mapped into memory. Weft's own format is 64 bytes of header and then the ids,
// all little-endian:
//   0  8  magic "WEFTTOK\n"        16  8  number of tokens
//   8  4  version, 1               24  8  vocabulary size, at most 2^24; every id is below it
//   12 4  bytes of one id, 2 or 4  32 32  SHA-256 of the ids' bytes
// Also read: nanoGPT's .bin (16-bit ids, no header) and llm.c's (256 32-bit integers: 20240520, 1,
// number of ids, zeros; then 16-bit ids).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "weft/base/file.h"
#include "weft/base/sha256.h"

namespace weft {

enum class TokenFormat {
  automatic,  // by the magic number: weft or llmc
  weft,
  nanogpt,  // has no magic number and must be asked for
  llmc,
  any,  // by the magic number, nanogpt without one
};

constexpr int64_t max_vocab_size = int64_t(1) << 24;

// Token ids in bytes that somebody else owns.
struct TokenView {
  Bytes payload;
  int token_bytes;     // 2 or 4
  int64_t vocab_size;  // every id is below
  std::optional<Sha256Digest> sha256;

  int64_t size() const { return int64_t(payload.size()) / token_bytes; }
  int32_t operator[](int64_t index) const;
  // out[i] = token begin + i.
  void copy(int64_t begin, std::span<int32_t> out) const;
};

// Checks the header and that every id is below `vocab_size` (0: unknown, what the file says or
// 65536). Error(data) naming `what`. Not the checksum.
TokenView parse_token_shard(Bytes file, const std::string& what, int64_t vocab_size = 0,
                            TokenFormat format = TokenFormat::automatic);

class TokenShard {
 public:
  explicit TokenShard(const std::string& path, int64_t vocab_size = 0,
                      TokenFormat format = TokenFormat::automatic);

  const std::string& path() const { return file_.path(); }
  const TokenView& tokens() const { return tokens_; }
  // Reads everything once more; Error(data) when the bytes are not those that were written. The
  // foreign formats have no checksum.
  void verify_checksum() const;

 private:
  MappedFile file_;
  TokenView tokens_;
};

// Ids take 2 bytes when vocab_size <= 65536, else 4. Error(user) for an id outside [0, vocab_size).
void write_token_shard(const std::string& path, std::span<const int32_t> tokens, int64_t vocab_size,
                       FileSystem& fs = posix_file_system());

}  // namespace weft
