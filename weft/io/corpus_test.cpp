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
  const Corpus corpus = read_corpus(dir / "input");
  EXPECT_EQ(corpus.documents, std::vector<std::string>{"h\xC3\xA9llo\n"});
  EXPECT_TRUE(corpus.one_file);
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
  write_file_atomic(dir / "b/2.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}");
  const Corpus corpus = read_corpus(dir.path());
  EXPECT_EQ(corpus.documents,
            (std::vector<std::string>{"a.txt", "b/1.txt", "one", "two", "b/c.txt/2.txt", "z.txt"}));
  EXPECT_EQ(corpus.empty, 1);
  EXPECT_FALSE(corpus.one_file);
}

TEST(Corpus, RefusesWhatIsNoText) {
  const TempDirectory dir;
  EXPECT_ERROR(data, "holds no .txt or .jsonl file", read_corpus(dir.path()));
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

TEST(Corpus, ReadsTheFieldOfEveryLine) {
  const TempDirectory dir;
  write_file_atomic(
      dir / "x.jsonl",
      "{\"body\": \"a\\nb\", \"id\": 7}\r\n\n{\"body\": \"\"}\n {\"body\": \"\\u00e9\"}");
  const Corpus corpus = read_corpus(dir / "x.jsonl", {.field = "body"});
  EXPECT_EQ(corpus.documents, (std::vector<std::string>{"a\nb", "é"}));
  EXPECT_EQ(corpus.empty, 1);
  EXPECT_FALSE(corpus.one_file);
}

TEST(Corpus, ABadLineIsNamed) {
  const TempDirectory dir;
  const std::string path = dir / "x.jsonl", good = "{\"text\": \"a\"}\n";
  const auto line_two = [&](const std::string& line) {
    write_file_atomic(path, good + line + "\n" + good);
    return read_corpus(path);
  };
  const std::string where = path + " line 2";
  EXPECT_ERROR(data, where + ": expected an object with the string \"text\", got \"{\\\"txt",
               line_two("{\"txt\": 1}"));
  EXPECT_ERROR(data, where + ": expected an object", line_two("[1]"));
  EXPECT_ERROR(data, where + ": expected an object", line_two("{\"text\": 3}"));
  EXPECT_ERROR(data, where, line_two("{\"text\": \"a\""));
  EXPECT_ERROR(data, where + " has a NUL at byte 1", line_two("{\"text\": \"a\\u0000\"}"));
  EXPECT_ERROR(data, where, line_two("{\"text\": \"\xff\"}"));
  EXPECT_ERROR(data, where, line_two(std::string(100, '[')));
}

TEST(Corpus, TheLimitCountsAllFiles) {
  const TempDirectory dir;
  write_file_atomic(dir / "a.txt", "12345");
  write_file_atomic(dir / "b.txt", "12345");
  EXPECT_EQ(read_corpus(dir.path(), {.max_bytes = 10}).documents.size(), 2u);
  EXPECT_ERROR(data, "b.txt has 5 bytes, more than the 4 allowed",
               read_corpus(dir.path(), {.max_bytes = 9}));
}

}  // namespace
}  // namespace weft
