#include "weft/io/corpus.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/expect_error.h"
#include "tests/temp_directory.h"
#include "weft/base/file.h"

namespace weft {
namespace {

using testing::TempDirectory;

TEST(Corpus, ReadsOneFileOfAnyName) {
  const TempDirectory dir;
  write_file_atomic(dir / "input", "h\xC3\xA9llo\n");
  const auto documents = read_corpus(dir / "input");
  ASSERT_EQ(documents.size(), 1u);
  EXPECT_EQ(documents[0].text, "h\xC3\xA9llo\n");
  EXPECT_EQ(documents[0].path, dir / "input");
}

TEST(Corpus, ReadsADirectorySortedByPath) {
  const TempDirectory dir;
  posix_file_system().make_directory(dir / "b");
  posix_file_system().make_directory(dir / "b/c.txt");  // a directory, whatever its name
  for (const std::string name :
       {"z.txt", "a.txt", "b/1.txt", "b/c.txt/2.txt", "skipped.md", "b/README"})
    write_file_atomic(dir / name, name);
  write_file_atomic(dir / "empty.txt", "");
  ASSERT_EQ(::symlink(dir.path().c_str(), (dir / "b/loop").c_str()), 0);
  std::vector<std::string> texts;
  for (const Document& d : read_corpus(dir.path())) texts.push_back(d.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"a.txt", "b/1.txt", "b/c.txt/2.txt", "z.txt"}));
}

TEST(Corpus, RefusesWhatIsNoText) {
  const TempDirectory dir;
  EXPECT_ERROR(data, "holds no .txt file", read_corpus(dir.path()));
  write_file_atomic(dir / "x.txt", "");
  EXPECT_ERROR(data, "x.txt holds no text", read_corpus(dir / "x.txt"));
  EXPECT_ERROR(data, "holds no text", read_corpus(dir.path()));
  write_file_atomic(dir / "x.txt", std::string("ab\0c", 4));
  EXPECT_ERROR(data, (dir / "x.txt") + " has a NUL at byte 2", read_corpus(dir.path()));
  write_file_atomic(dir / "x.txt", "abc\xE2\x82");
  EXPECT_ERROR(data, (dir / "x.txt") + R"( is not UTF-8 at byte 3: "\xe2\x82")",
               read_corpus(dir / "x.txt"));
  EXPECT_ERROR(resource, "no such file", read_corpus(dir / "no"));
}

TEST(Corpus, TheLimitCountsAllFiles) {
  const TempDirectory dir;
  write_file_atomic(dir / "a.txt", "12345");
  write_file_atomic(dir / "b.txt", "12345");
  EXPECT_EQ(read_corpus(dir.path(), 10).size(), 2u);
  EXPECT_ERROR(data, "b.txt has 5 bytes, more than the 4 allowed", read_corpus(dir.path(), 9));
}

}  // namespace
}  // namespace weft
