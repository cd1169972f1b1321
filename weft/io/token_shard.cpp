#include "weft/io/token_shard.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "weft/base/error.h"

namespace weft {
namespace {

constexpr char magic[8] = {'W', 'E', 'F', 'T', 'T', 'O', 'K', '\n'};

struct Header {
  char magic[8];
  uint32_t version, token_bytes;
  uint64_t tokens, vocab_size;
  uint8_t sha256[32];
};
static_assert(sizeof(Header) == 64);

constexpr int32_t llmc_magic = 20240520, llmc_version = 1;
constexpr size_t llmc_header_integers = 256, llmc_header_bytes = 4 * llmc_header_integers;

bool has_weft_magic(Bytes file) {
  return file.size() >= sizeof magic && std::memcmp(file.data(), magic, sizeof magic) == 0;
}

bool has_llmc_magic(Bytes file) {
  int32_t first = 0;
  if (file.size() >= sizeof first) std::memcpy(&first, file.data(), sizeof first);
  return first == llmc_magic;
}

// `tokens` ids of `token_bytes` each must be what follows the header, no more and no less.
Bytes payload_of(Bytes file, size_t header_bytes, uint64_t tokens, uint64_t token_bytes,
                 const std::string& what) {
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(tokens, token_bytes, &bytes) || bytes != file.size() - header_bytes)
    data_error(
        "{}: the header promises {} tokens of {} bytes, but {} bytes follow it; is the file cut "
        "off?",
        what, tokens, token_bytes, file.size() - header_bytes);
  return file.subspan(header_bytes);
}

TokenView parse_weft(Bytes file, const std::string& what) {
  Header h;
  if (file.size() < sizeof h || !has_weft_magic(file))
    data_error("{} is not a Weft token shard: it has {} bytes and no header of one", what,
               file.size());
  std::memcpy(&h, file.data(), sizeof h);
  if (h.version != 1)
    data_error("{} is a token shard of version {}; this program reads version 1", what, h.version);
  if (h.token_bytes != 2 && h.token_bytes != 4)
    data_error("{}: a token takes 2 or 4 bytes, the header says {}", what, h.token_bytes);
  if (h.vocab_size < 1 || h.vocab_size > uint64_t(max_vocab_size))
    data_error("{}: the vocabulary size must be from 1 to {}, the header says {}", what,
               max_vocab_size, h.vocab_size);
  TokenView view{payload_of(file, sizeof h, h.tokens, h.token_bytes, what), int(h.token_bytes),
                 int64_t(h.vocab_size), Sha256Digest{}};
  std::ranges::copy(h.sha256, view.sha256->begin());
  return view;
}

TokenView parse_llmc(Bytes file, const std::string& what) {
  int32_t h[llmc_header_integers];
  if (file.size() < sizeof h || !has_llmc_magic(file))
    data_error("{} is not a token file of llm.c: it must start with 256 integers, the first {}",
               what, llmc_magic);
  std::memcpy(h, file.data(), sizeof h);
  if (h[1] != llmc_version)
    data_error("{} is an llm.c token file of version {}; this program reads version 1", what, h[1]);
  if (h[2] < 0) data_error("{}: the header promises {} tokens", what, h[2]);
  return {payload_of(file, llmc_header_bytes, uint64_t(h[2]), 2, what), 2, 65536, std::nullopt};
}

TokenView parse_nanogpt(Bytes file, const std::string& what) {
  if (file.size() % 2 != 0)
    data_error("{} has {} bytes; 16-bit tokens take an even number", what, file.size());
  return {file, 2, 65536, std::nullopt};
}

TokenView parse_format(Bytes file, const std::string& what, TokenFormat format) {
  switch (format) {
    case TokenFormat::weft:
      return parse_weft(file, what);
    case TokenFormat::llmc:
      return parse_llmc(file, what);
    case TokenFormat::nanogpt:
      return parse_nanogpt(file, what);
    case TokenFormat::automatic:
    case TokenFormat::any:
      break;
  }
  if (has_weft_magic(file)) return parse_weft(file, what);
  if (has_llmc_magic(file)) return parse_llmc(file, what);
  if (format == TokenFormat::any) return parse_nanogpt(file, what);
  data_error(
      "{} is a token file neither of Weft nor of llm.c; if it holds 16-bit ids without a header as "
      "nanoGPT "
      "writes them, ask for the format nanogpt",
      what);
}

constexpr size_t block_tokens = 4096;

// The largest id, by blocks of constant length, which the compiler turns into vector maxima.
template <class T>
T largest_id(Bytes payload) {
  T largest = 0;
  T block[block_tokens] = {};
  for (size_t at = 0; at < payload.size(); at += sizeof block) {
    const size_t bytes = std::min(sizeof block, payload.size() - at);
    if (bytes < sizeof block) std::memset(block, 0, sizeof block);
    std::memcpy(block, payload.data() + at, bytes);
    for (size_t i = 0; i < block_tokens; ++i) largest = std::max(largest, block[i]);
  }
  return largest;
}

void check_ids(const TokenView& view, const std::string& what) {
  const uint32_t largest = view.token_bytes == 2 ? largest_id<uint16_t>(view.payload)
                                                 : largest_id<uint32_t>(view.payload);
  if (largest >= uint64_t(view.vocab_size))
    data_error(
        "{} holds the token {}, outside the vocabulary of {}; was it made with another tokenizer?",
        what, largest, view.vocab_size);
}

}  // namespace

int32_t TokenView::operator[](int64_t index) const {
  int32_t token = 0;
  copy(index, {&token, 1});
  return token;
}

void TokenView::copy(int64_t begin, std::span<int32_t> out) const {
  const int64_t n = int64_t(out.size());
  WEFT_CHECK(begin >= 0 && n <= size() && begin <= size() - n, "tokens [{}, +{}) of {}", begin, n,
             size());
  const std::byte* from = payload.data() + begin * token_bytes;
  if (token_bytes == 4) {
    if (n > 0) std::memcpy(out.data(), from, out.size_bytes());
    return;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t token;
    std::memcpy(&token, from + 2 * i, 2);
    out[i] = token;
  }
}

TokenView parse_token_shard(Bytes file, const std::string& what, int64_t vocab_size,
                            TokenFormat format) {
  WEFT_CHECK(vocab_size >= 0 && vocab_size <= max_vocab_size, "vocab_size {}", vocab_size);
  TokenView view = parse_format(file, what, format);
  if (view.size() == 0) data_error("{} holds no tokens", what);
  if (vocab_size > 0) {
    if (view.sha256 && view.vocab_size > vocab_size)
      data_error(
          "{} was made for a vocabulary of {}, larger than the {} expected here; was it made with "
          "another "
          "tokenizer?",
          what, view.vocab_size, vocab_size);
    view.vocab_size = std::min(view.vocab_size, vocab_size);
  }
  check_ids(view, what);
  return view;
}

TokenShard::TokenShard(const std::string& path, int64_t vocab_size, TokenFormat format)
    : file_(path), tokens_(parse_token_shard(file_.bytes(), path, vocab_size, format)) {}

void TokenShard::verify_checksum() const {
  if (tokens_.sha256 && sha256(tokens_.payload) != *tokens_.sha256)
    data_error(
        "{}: the tokens do not have the checksum of the header; the file is damaged, make it again",
        path());
}

namespace {

// Calls use(bytes) for each block of ids as they lie in the file.
template <class T, class F>
void for_each_block(std::span<const int32_t> tokens, F&& use) {
  std::vector<T> block;
  for (size_t at = 0; at < tokens.size(); at += block.size()) {
    block.resize(std::min(size_t(1) << 18, tokens.size() - at));
    for (size_t i = 0; i < block.size(); ++i) block[i] = T(tokens[at + i]);
    use(std::as_bytes(std::span(block)));
  }
}

template <class T>
void write_shard(const std::string& path, std::span<const int32_t> tokens, int64_t vocab_size,
                 FileSystem& fs) {
  Sha256 hash;
  for_each_block<T>(tokens, [&](Bytes bytes) { hash.update(bytes); });
  Header h{{}, 1, sizeof(T), tokens.size(), uint64_t(vocab_size), {}};
  std::memcpy(h.magic, magic, sizeof magic);
  std::ranges::copy(hash.finish(), h.sha256);
  AtomicFile file(path, fs);
  file.write(std::as_bytes(std::span(&h, 1)));
  for_each_block<T>(tokens, [&](Bytes bytes) { file.write(bytes); });
  file.commit();
}

}  // namespace

void write_token_shard(const std::string& path, std::span<const int32_t> tokens, int64_t vocab_size,
                       FileSystem& fs) {
  if (vocab_size < 1 || vocab_size > max_vocab_size)
    user_error("{}: a vocabulary has from 1 to {} tokens, got {}", path, max_vocab_size,
               vocab_size);
  if (tokens.empty()) user_error("{}: there are no tokens to write", path);
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= vocab_size)
      user_error("{}: token {} at index {} is outside the vocabulary of {}", path, tokens[i], i,
                 vocab_size);
  if (vocab_size <= 65536)
    write_shard<uint16_t>(path, tokens, vocab_size, fs);
  else
    write_shard<uint32_t>(path, tokens, vocab_size, fs);
}

}  // namespace weft
