#include "weft/base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <optional>
#include <unistd.h>
#include <utility>

#include "tests/expect_error.h"
#include "tests/power_loss.h"
#include "tests/temp_directory.h"
#include "weft/base/file_errors.h"

namespace weft {
namespace {

using testing::FileOperation;
using testing::RecordingFileSystem;
using testing::TempDirectory;

std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : list_directory(path)) names.push_back(entry.name);
  return names;
}

TEST(File, ReadsWhatWasWritten) {
  const TempDirectory dir;
  const std::string text("a\0b\nc", 5);
  write_file_atomic(dir / "x", text);
  EXPECT_EQ(read_file(dir / "x", 5), text);
  EXPECT_EQ(text_of(MappedFile(dir / "x").bytes()), text);
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"x"});
}

TEST(File, LimitOfReadFileIsExact) {
  const TempDirectory dir;
  write_file_atomic(dir / "x", "12345");
  EXPECT_EQ(read_file(dir / "x", 5), "12345");
  EXPECT_ERROR(data, "has 5 bytes, more than the 4 allowed", read_file(dir / "x", 4));
}

TEST(File, EmptyFilesAreFiles) {
  const TempDirectory dir;
  write_file_atomic(dir / "x", "");
  EXPECT_EQ(read_file(dir / "x", 0), "");
  const MappedFile map(dir / "x");
  EXPECT_EQ(map.size(), 0u);
  EXPECT_TRUE(map.bytes().empty());
  map.advise(MappedFile::Advice::sequential);
}

TEST(File, MapMoves) {
  const TempDirectory dir;
  write_file_atomic(dir / "x", "xx");
  write_file_atomic(dir / "y", "yyy");
  MappedFile a(dir / "x"), b(dir / "y");
  a = std::move(b);
  EXPECT_EQ(text_of(a.bytes()), "yyy");
  const MappedFile c(std::move(a));
  EXPECT_EQ(text_of(c.bytes()), "yyy");
}

TEST(File, ErrorsNameThePathAndWhatToDo) {
  const TempDirectory dir;
  EXPECT_ERROR(resource, "no such file or directory; check the spelling", read_file(dir / "no", 9));
  EXPECT_ERROR(resource, (dir / "no/x"), MappedFile(dir / "no/x"));
  EXPECT_ERROR(resource, "it is a directory; give the path of a file", read_file(dir.path(), 9));
  EXPECT_ERROR(resource, "it is a directory", MappedFile(dir.path()));
  EXPECT_ERROR(resource, "pipe or a device", MappedFile("/dev/null"));
  EXPECT_ERROR(resource, "no such file or directory", write_file_atomic(dir / "no/x", "text"));
  EXPECT_ERROR(resource, "cannot list", list_directory(dir / "no"));
  write_file_atomic(dir / "file", "");
  EXPECT_ERROR(resource, "a part of the path is a file", read_file(dir / "file/x", 9));
}

// Of the error itself: root, which tests often are, may write anywhere.
TEST(File, PermissionDeniedIsASentence) {
  errno = EACCES;
  EXPECT_ERROR(resource, "cannot create run/x: permission denied; choose another place",
               fail_to("create", "run/x"));
}

TEST(File, AFullDiskIsASentence) {
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0) << "Linux has /dev/full everywhere";
  EXPECT_ERROR(resource, "cannot write run/x: the disk or the quota is full; free some space",
               posix_file_system().write(full, "run/x", as_bytes("text")));
  ::close(full);
}

TEST(File, ListsSortedWithKinds) {
  const TempDirectory dir;
  write_file_atomic(dir / "b", "");
  posix_file_system().make_directory(dir / "a");
  ASSERT_EQ(::symlink("nowhere", (dir / "c").c_str()), 0);
  const auto entries = list_directory(dir.path());
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "a");
  EXPECT_EQ(entries[0].kind, EntryKind::directory);
  EXPECT_EQ(entries[1].kind, EntryKind::file);
  EXPECT_EQ(entries[2].kind, EntryKind::other);
}

TEST(File, ParentDirectory) {
  EXPECT_EQ(parent_directory("a/b"), "a");
  EXPECT_EQ(parent_directory("a/b/"), "a");
  EXPECT_EQ(parent_directory("b"), ".");
  EXPECT_EQ(parent_directory("/b"), "/");
  EXPECT_EQ(parent_directory("/"), "/");
}

TEST(File, TemporaryNames) {
  EXPECT_TRUE(is_temporary_name("x.tmp-0123456789abcdef"));
  EXPECT_FALSE(is_temporary_name("x.tmp-0123456789abcde"));
  EXPECT_FALSE(is_temporary_name("x.tmp-0123456789ABCDEF"));
  EXPECT_FALSE(is_temporary_name(".tmp-0123456789abcdef"));
  EXPECT_FALSE(is_temporary_name("step-00000001"));
}

TEST(AtomicFile, WithoutCommitNothingIsLeft) {
  const TempDirectory dir;
  write_file_atomic(dir / "x", "old");
  {
    AtomicFile file(dir / "x");
    file.write(as_bytes("new"));
    EXPECT_EQ(names_in(dir.path()).size(), 2u);
  }
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"x"});
  EXPECT_EQ(read_file(dir / "x", 9), "old");
}

TEST(AtomicDirectory, ReplacesAndCleans) {
  const TempDirectory dir;
  for (const std::string text : {"old", "new"}) {
    AtomicDirectory out(dir / "d/");
    write_file_atomic(out.staging() + "/f", text);
    write_file_atomic(out.staging() + "/" + text, "");
    out.commit();
  }
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"d"});
  EXPECT_EQ(names_in(dir / "d"), (std::vector<std::string>{"f", "new"}));
  { AtomicDirectory abandoned(dir / "e"); }
  EXPECT_FALSE(path_exists(dir / "e"));
  EXPECT_EQ(names_in(dir.path()).size(), 1u);
  remove_tree(dir / "d");
  EXPECT_TRUE(names_in(dir.path()).empty());
}

// Fails each operation in turn: the old content stays and no temporary name is left behind.
TEST(AtomicFile, EveryFailureLeavesTheOldContent) {
  size_t failures = 0;
  for (size_t fail_at = 0;; ++fail_at) {
    const TempDirectory dir;
    write_file_atomic(dir / "x", "old");
    RecordingFileSystem fs(dir.path(), fail_at);
    const bool saved = testing::accepts([&] { write_file_atomic(dir / "x", "new", fs); });
    EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"x"});
    if (saved) break;
    ++failures;
    const bool renamed = fail_at == 4;  // only the fsync of the directory comes after the rename
    EXPECT_EQ(read_file(dir / "x", 9), renamed ? "new" : "old") << fail_at;
  }
  EXPECT_EQ(failures, 5u);  // create, write, sync, rename, sync_directory
}

TEST(AtomicDirectory, EveryFailureLeavesNothingBehind) {
  size_t failures = 0;
  for (size_t fail_at = 0;; ++fail_at) {
    const TempDirectory dir;
    RecordingFileSystem fs(dir.path(), fail_at);
    const bool saved = testing::accepts([&] {
      AtomicDirectory out(dir / "d", fs);
      write_file_atomic(out.staging() + "/f", "text", fs);
      out.commit();
    });
    if (saved) break;
    ++failures;
    for (const std::string& name : names_in(dir.path())) EXPECT_EQ(name, "d");
  }
  EXPECT_EQ(failures, 9u);
}

// How many states after a power cut are wrong; `drop` leaves out one kind of operation.
size_t wrong_states(std::optional<FileOperation::Kind> drop) {
  const TempDirectory dir, scratch;
  RecordingFileSystem fs(dir.path());
  write_file_atomic(dir / "x", "first version", fs);
  const size_t first = fs.operations().size();
  write_file_atomic(dir / "x", "second version", fs);
  std::vector<FileOperation> operations = fs.operations();
  for (FileOperation& operation : operations)
    if (operation.kind == drop) operation.kind = FileOperation::Kind::nothing;
  size_t wrong = 0;
  testing::for_each_power_cut(
      operations, scratch / "disk", [&](size_t done, const std::string& disk) {
        const std::string found =
            path_exists(disk + "/x") ? read_file(disk + "/x", 99) : std::string("nothing");
        const bool right = found == "second version" ||
                           (found == "first version" && done < operations.size()) ||
                           (found == "nothing" && done < first);
        if (!right) ++wrong;
        return true;
      });
  return wrong;
}

TEST(AtomicFile, SurvivesAPowerCutAnywhere) {
  EXPECT_EQ(wrong_states(std::nullopt), 0u);
}

// The rig sees what it is for: without either fsync it finds states that lose or mix content.
TEST(AtomicFile, ThePowerCutTestSeesMissingFsyncs) {
  EXPECT_GT(wrong_states(FileOperation::Kind::sync), 0u);
  EXPECT_GT(wrong_states(FileOperation::Kind::sync_directory), 0u);
}

TEST(AtomicDirectory, SurvivesAPowerCutAnywhere) {
  const TempDirectory dir, scratch;
  RecordingFileSystem fs(dir.path());
  std::vector<size_t> acknowledged;
  for (const std::string version : {"1", "2"}) {
    AtomicDirectory out(dir / "d", fs);
    write_file_atomic(out.staging() + "/a", "a" + version, fs);
    write_file_atomic(out.staging() + "/b", "b" + version, fs);
    out.commit();
    acknowledged.push_back(fs.operations().size());
  }
  size_t states = 0;
  testing::for_each_power_cut(
      fs.operations(), scratch / "disk", [&](size_t done, const std::string& disk) {
        std::string found = "nothing";
        if (path_exists(disk + "/d"))
          found = read_file(disk + "/d/a", 9) + read_file(disk + "/d/b", 9);
        const bool right = found == "a2b2" || (found == "a1b1" && done < acknowledged[1]) ||
                           (found == "nothing" && done < acknowledged[0]);
        EXPECT_TRUE(right) << found << " after " << done;
        ++states;
        return right;
      });
  EXPECT_GT(states, 300u);
}

}  // namespace
}  // namespace weft
