#include "weft/io/token_shard.h"

#include <cstring>
#include <gtest/gtest.h>
#include <numeric>
#include <vector>

#include "tests/expect_error.h"
#include "tests/mutations.h"
#include "tests/temp_directory.h"

namespace weft {
namespace {

using testing::ExactBytes;
using testing::TempDirectory;

std::vector<int32_t> all_tokens(const TokenView& view) {
  std::vector<int32_t> tokens(size_t(view.size()));
  view.copy(0, tokens);
  return tokens;
}

std::string valid_shard(const std::vector<int32_t>& tokens, int64_t vocab_size) {
  const TempDirectory dir;
  write_token_shard(dir / "s", tokens, vocab_size);
  return read_file(dir / "s", 1 << 20);
}

template <class T>
void put(std::string& file, size_t at, T value) {
  std::memcpy(file.data() + at, &value, sizeof value);
}

template <class T>
std::string raw_bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string llmc_file(int32_t magic, int32_t version, int32_t count,
                      const std::vector<uint16_t>& tokens) {
  std::vector<int32_t> header(256);
  header[0] = magic, header[1] = version, header[2] = count;
  return raw_bytes(header) + raw_bytes(tokens);
}

TEST(TokenShard, WritesAndReadsBothWidths) {
  const TempDirectory dir;
  for (const int64_t vocab : {int64_t(1000), int64_t(65536), int64_t(65537), max_vocab_size}) {
    std::vector<int32_t> tokens(10007);
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = int32_t(int64_t(i) * 7919 % vocab);
    tokens[5000] = int32_t(vocab - 1);
    write_token_shard(dir / "s", tokens, vocab);
    const TokenShard shard(dir / "s", vocab);
    EXPECT_EQ(shard.tokens().token_bytes, vocab <= 65536 ? 2 : 4);
    EXPECT_EQ(shard.tokens().vocab_size, vocab);
    EXPECT_EQ(all_tokens(shard.tokens()), tokens);
    EXPECT_EQ(shard.tokens()[5000], vocab - 1);
    EXPECT_NO_THROW(shard.verify_checksum());
  }
}

TEST(TokenShard, ReadsNanoGpt) {
  const ExactBytes file(raw_bytes<uint16_t>({5, 0, 65535}));
  const TokenView view = parse_token_shard(file.bytes(), "train.bin", 0, TokenFormat::nanogpt);
  EXPECT_EQ(all_tokens(view), (std::vector<int32_t>{5, 0, 65535}));
  EXPECT_ERROR(data, "ask for the format nanogpt", parse_token_shard(file.bytes(), "train.bin"));
  EXPECT_ERROR(data, "holds the token 65535, outside the vocabulary of 50257",
               parse_token_shard(file.bytes(), "train.bin", 50257, TokenFormat::nanogpt));
  EXPECT_ERROR(data, "even number",
               parse_token_shard(file.bytes().first(5), "x", 0, TokenFormat::nanogpt));
}

TEST(TokenShard, ReadsLlmC) {
  const ExactBytes file(llmc_file(20240520, 1, 3, {7, 8, 50256}));
  EXPECT_EQ(all_tokens(parse_token_shard(file.bytes(), "x", 50257)),
            (std::vector<int32_t>{7, 8, 50256}));
  EXPECT_ERROR(data, "holds the token 50256", parse_token_shard(file.bytes(), "x", 50256));
  for (const int32_t count : {-1, 2, 4, INT32_MIN, INT32_MAX})
    EXPECT_ERROR(
        data, "x: the header promises",
        parse_token_shard(ExactBytes(llmc_file(20240520, 1, count, {7, 8, 9})).bytes(), "x"));
  EXPECT_ERROR(data, "version 2",
               parse_token_shard(ExactBytes(llmc_file(20240520, 2, 1, {7})).bytes(), "x"));
  EXPECT_ERROR(
      data, "must start with 256 integers, the first 20240520",
      parse_token_shard(ExactBytes(llmc_file(1, 1, 1, {7})).bytes(), "x", 0, TokenFormat::llmc));
  EXPECT_ERROR(data, "holds no tokens",
               parse_token_shard(ExactBytes(llmc_file(20240520, 1, 0, {})).bytes(), "x"));
}

TEST(TokenShard, WriterRefusesWhatItCouldNotRead) {
  const TempDirectory dir;
  const std::vector<int32_t> tokens = {1, 2, 3};
  EXPECT_ERROR(user, "token 3 at index 2 is outside the vocabulary of 3",
               write_token_shard(dir / "s", tokens, 3));
  EXPECT_ERROR(user, "token -1 at index 0",
               write_token_shard(dir / "s", std::vector<int32_t>{-1}, 3));
  EXPECT_ERROR(user, "no tokens to write", write_token_shard(dir / "s", {}, 3));
  EXPECT_ERROR(user, "from 1 to 16777216",
               write_token_shard(dir / "s", tokens, max_vocab_size + 1));
  EXPECT_TRUE(list_directory(dir.path()).empty());
}

// A token outside the vocabulary is found wherever it stands, also around the ends of blocks.
TEST(TokenShard, FindsTheOneWrongTokenAnywhere) {
  std::vector<uint16_t> tokens(4096 * 2 + 3, 9);
  for (const size_t at : {size_t(0), size_t(1), size_t(4095), size_t(4096), size_t(8191),
                          size_t(8192), size_t(8194)}) {
    tokens[at] = 10;
    const ExactBytes file(raw_bytes(tokens));
    EXPECT_ERROR(data, "token 10", parse_token_shard(file.bytes(), "x", 10, TokenFormat::nanogpt));
    EXPECT_NO_THROW(parse_token_shard(file.bytes(), "x", 11, TokenFormat::nanogpt));
    tokens[at] = 9;
  }
}

TEST(TokenShard, CutAnywhereIsRefused) {
  for (const std::string& file : {valid_shard({1, 2, 300}, 301), valid_shard({1, 70000}, 70001),
                                  llmc_file(20240520, 1, 2, {7, 8})})
    testing::for_each_truncation(file, [](Bytes bytes, const std::string& how) {
      EXPECT_FALSE(testing::accepts([&] { parse_token_shard(bytes, "x"); })) << how;
    });
}

// Only the vocabulary size, where it grows, and the checksum may change without a refusal at load;
// then the tokens are the same.
TEST(TokenShard, AnyFlippedHeaderBitIsRefusedOrHarmless) {
  const std::vector<int32_t> tokens = {1, 2, 300};
  int accepted = 0;
  testing::for_each_bit_flip(valid_shard(tokens, 301), 64, [&](Bytes file, const std::string& how) {
    testing::accepts([&] {
      const TokenView view = parse_token_shard(file, "x");
      EXPECT_EQ(all_tokens(view), tokens) << how;
      EXPECT_TRUE(view.vocab_size > 301 || sha256(view.payload) != *view.sha256) << how;
      ++accepted;
    });
  });
  EXPECT_LE(accepted, 256 + 24);
  const std::string llmc = llmc_file(20240520, 1, 2, {7, 8});
  testing::for_each_bit_flip(llmc, 12, [](Bytes file, const std::string& how) {
    EXPECT_FALSE(testing::accepts([&] { parse_token_shard(file, "x"); })) << how;
  });
}

TEST(TokenShard, HostileHeaders) {
  const std::string valid = valid_shard({1, 2, 3}, 4);
  const auto refused = [&](size_t at, auto value, const std::string& sentence) {
    std::string file = valid;
    put(file, at, value);
    EXPECT_ERROR(data, sentence, parse_token_shard(ExactBytes(file).bytes(), "x"));
  };
  refused(8, uint32_t(2), "version 2; this program reads version 1");
  for (const uint32_t width : {0u, 1u, 3u, 8u, UINT32_MAX}) refused(12, width, "2 or 4 bytes");
  for (const uint64_t count : {uint64_t(2), uint64_t(4), uint64_t(1) << 31, uint64_t(1) << 32,
                               uint64_t(1) << 63, (uint64_t(1) << 63) + 3, UINT64_MAX})
    refused(16, count, "the header promises");
  for (const uint64_t vocab :
       {uint64_t(0), uint64_t(max_vocab_size) + 1, uint64_t(1) << 63, UINT64_MAX})
    refused(24, vocab, "the vocabulary size must be from 1 to 16777216");
  refused(24, uint64_t(3), "holds the token 3, outside the vocabulary of 3");
}

TEST(TokenShard, ChecksumFindsAnyChangedPayloadBit) {
  const TempDirectory dir;
  const std::string valid = valid_shard({1, 2, 3}, 65536);
  for (size_t bit = 64 * 8; bit < valid.size() * 8; ++bit) {
    std::string file = valid;
    file[bit / 8] = char(file[bit / 8] ^ (1 << bit % 8));
    write_file_atomic(dir / "s", file);
    const TokenShard shard(dir / "s");
    EXPECT_ERROR(data, "the file is damaged", shard.verify_checksum());
  }
}

TEST(TokenShard, ForeignVocabularyIsRefused) {
  const ExactBytes file(valid_shard({1}, 50257));
  EXPECT_ERROR(data, "made for a vocabulary of 50257, larger than the 256",
               parse_token_shard(file.bytes(), "x", 256));
  EXPECT_EQ(parse_token_shard(file.bytes(), "x", 50304).vocab_size, 50257);
}

TEST(TokenShard, CopyStaysInside) {
  const ExactBytes file(valid_shard({1, 2, 3}, 4));
  const TokenView view = parse_token_shard(file.bytes(), "x");
  std::vector<int32_t> out(2);
  view.copy(1, out);
  EXPECT_EQ(out, (std::vector<int32_t>{2, 3}));
  EXPECT_ERROR(internal, "tokens [2, +2) of 3", view.copy(2, out));
  EXPECT_ERROR(internal, "tokens [-1", view.copy(-1, out));
  EXPECT_ERROR(internal, "of 3", view.copy(INT64_MAX, out));
}

}  // namespace
}  // namespace weft
