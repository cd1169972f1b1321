// Token ids and the documents they make up. The index lies beside a token shard, all little-endian:
//   0  8  magic "WEFTDOC\n"        16  8  number of documents
//   8  4  version, 1               24  8  number of tokens
//   12 4  zero                     32 32  SHA-256 of what follows
// and for each document, 8 bytes: the index of the token after its last one.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weft/io/token_shard.h"

namespace weft {

// Ids and ends are in memory that somebody else owns.
struct Documents {
  TokenView tokens;
  // Of each document; ascending, the last is tokens.size(). Empty: all tokens are one document.
  std::span<const uint64_t> ends = {};

  Documents(TokenView all, std::span<const uint64_t> document_ends = {})
      : tokens(all), ends(document_ends) {}
  int64_t size() const { return ends.empty() ? 1 : int64_t(ends.size()); }
  int64_t begin(int64_t document) const {
    return document == 0 ? 0 : int64_t(ends[size_t(document - 1)]);
  }
  int64_t end(int64_t document) const {
    return ends.empty() ? tokens.size() : int64_t(ends[size_t(document)]);
  }
};

struct DocumentIndex {
  std::vector<uint64_t> ends;
  Sha256Digest sha256;
};
// Checks all of it, the hash too. Error(data) naming `what`. tokens: how many there are.
DocumentIndex parse_document_index(Bytes file, const std::string& what, int64_t tokens);
DocumentIndex read_document_index(const std::string& path, int64_t tokens);
// The documents are not empty; the last ends with the tokens. Returns the hash.
Sha256Digest write_document_index(const std::string& path, std::span<const uint64_t> ends,
                                  FileSystem& fs = posix_file_system());

}  // namespace weft
