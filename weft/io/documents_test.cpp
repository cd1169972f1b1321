#include "weft/io/documents.h"

#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/temp_directory.h"

namespace weft {
namespace {

using testing::TempDirectory;

std::string written(const TempDirectory& dir, const std::vector<uint64_t>& ends) {
  write_document_index(dir / "index", ends);
  return read_file(dir / "index", 1 << 20);
}
DocumentIndex parsed(const std::string& file, int64_t tokens) {
  return parse_document_index(std::as_bytes(std::span(file)), "index", tokens);
}

TEST(Documents, WhatIsWrittenReadsTheSame) {
  const TempDirectory dir;
  const std::vector<uint64_t> ends{3, 4, 12};
  const Sha256Digest hash = write_document_index(dir / "index", ends);
  const DocumentIndex index = read_document_index(dir / "index", 12);
  EXPECT_EQ(index.ends, ends);
  EXPECT_EQ(index.sha256, hash);
  const Documents documents({{}, 2, 10, {}}, index.ends);
  ASSERT_EQ(documents.size(), 3);
  EXPECT_EQ(documents.begin(0), 0);
  EXPECT_EQ(documents.end(0), 3);
  EXPECT_EQ(documents.begin(2), 4);
  EXPECT_EQ(documents.end(2), 12);
}

TEST(Documents, WithoutAnIndexAllIsOne) {
  const std::byte ids[10] = {};
  const Documents documents({ids, 2, 10, {}});
  EXPECT_EQ(documents.size(), 1);
  EXPECT_EQ(documents.begin(0), 0);
  EXPECT_EQ(documents.end(0), 5);
}

// Cut anywhere, any bit flipped.
TEST(Documents, DamageIsSeen) {
  const TempDirectory dir;
  const std::string file = written(dir, {3, 4, 12});
  for (size_t n = 0; n < file.size(); ++n) EXPECT_THROW(parsed(file.substr(0, n), 12), Error) << n;
  EXPECT_THROW(parsed(file + "x", 12), Error);
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::string bad = file;
    bad[bit / 8] = char(bad[bit / 8] ^ (1 << bit % 8));
    EXPECT_THROW(parsed(bad, 12), Error) << bit;
  }
}

TEST(Documents, ErrorsAreSentences) {
  const TempDirectory dir;
  const std::string file = written(dir, {3, 4, 12});
  EXPECT_ERROR(data, "index has documents of 12 tokens together, but the shard beside it has 13",
               parsed(file, 13));
  EXPECT_ERROR(data, "index: a document ends at token 3, but the one before it at 3",
               parsed(written(dir, {3, 3, 12}), 12));
  EXPECT_ERROR(data, "index: the header promises 3 documents of 8 bytes, but 23 bytes follow it",
               parsed(file.substr(0, file.size() - 1), 12));
  EXPECT_ERROR(data, "index is not an index of documents", parsed("WEFTDOC", 12));
}

}  // namespace
}  // namespace weft
