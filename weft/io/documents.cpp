#include "weft/io/documents.h"

#include <algorithm>
#include <cstring>

#include "weft/base/error.h"

namespace weft {
namespace {

constexpr char magic[8] = {'W', 'E', 'F', 'T', 'D', 'O', 'C', '\n'};

struct Header {
  char magic[8];
  uint32_t version, zero;
  uint64_t documents, tokens;
  uint8_t sha256[32];
};
static_assert(sizeof(Header) == 64);

Header read_header(Bytes file, const std::string& what) {
  Header h;
  if (file.size() < sizeof h || std::memcmp(file.data(), magic, sizeof magic) != 0)
    data_error("{} is not an index of documents: it has {} bytes and no header of one", what,
               file.size());
  std::memcpy(&h, file.data(), sizeof h);
  if (h.version != 1 || h.zero != 0)
    data_error("{} is an index of documents of version {}; this program reads version 1", what,
               h.version);
  if (h.documents == 0 || h.documents != (file.size() - sizeof h) / 8 ||
      (file.size() - sizeof h) % 8 != 0)
    data_error("{}: the header promises {} documents of 8 bytes, but {} bytes follow it", what,
               h.documents, file.size() - sizeof h);
  return h;
}

}  // namespace

DocumentIndex parse_document_index(Bytes file, const std::string& what, int64_t tokens) {
  const Header h = read_header(file, what);
  const Bytes payload = file.subspan(sizeof h);
  DocumentIndex index{std::vector<uint64_t>(size_t(h.documents)), weft::sha256(payload)};
  if (!std::ranges::equal(index.sha256, h.sha256))
    data_error("{} does not have the checksum of its header; the file is damaged, make it again",
               what);
  std::memcpy(index.ends.data(), payload.data(), payload.size());
  uint64_t before = 0;
  for (const uint64_t end : index.ends) {
    if (end <= before)
      data_error("{}: a document ends at token {}, but the one before it at {}", what, end, before);
    before = end;
  }
  if (before != h.tokens || before != uint64_t(tokens))
    data_error("{} has documents of {} tokens together, but the shard beside it has {}", what,
               before, tokens);
  return index;
}

DocumentIndex read_document_index(const std::string& path, int64_t tokens) {
  return parse_document_index(MappedFile(path).bytes(), path, tokens);
}

Sha256Digest write_document_index(const std::string& path, std::span<const uint64_t> ends,
                                  FileSystem& fs) {
  WEFT_CHECK(!ends.empty());
  const Bytes payload = std::as_bytes(ends);
  const Sha256Digest hash = weft::sha256(payload);
  Header h{{}, 1, 0, ends.size(), ends.back(), {}};
  std::memcpy(h.magic, magic, sizeof magic);
  std::ranges::copy(hash, h.sha256);
  AtomicFile file(path, fs);
  file.write(std::as_bytes(std::span(&h, 1)));
  file.write(payload);
  file.commit();
  return hash;
}

}  // namespace weft
