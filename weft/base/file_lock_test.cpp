#include "weft/base/file_lock.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/expect_error.h"
#include "tests/temp_directory.h"

namespace weft {
namespace {

using weft::testing::TempDirectory;

// A process that takes the lock, says so, and keeps it until it is killed.
pid_t start_holder(const std::string& path) {
  int said[2];
  WEFT_CHECK(::pipe(said) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FileLock lock(path);
    [[maybe_unused]] const bool told = ::write(said[1], "x", 1) == 1;
    while (true) ::pause();
  }
  ::close(said[1]);
  char x;
  WEFT_CHECK(::read(said[0], &x, 1) == 1);
  ::close(said[0]);
  return child;
}

TEST(FileLock, NamesTheProcessThatHoldsItUntilThatDies) {
  const TempDirectory directory;
  const std::string path = directory / "lock";
  const pid_t other = start_holder(path);
  EXPECT_ERROR(resource, format("{} is locked by process {}, which", path, other), FileLock{path});
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  const FileLock free(path);
}

TEST(FileLock, OneObjectHoldsIt) {
  const TempDirectory directory;
  const std::string path = directory / "lock";
  {
    FileLock first(path);
    const FileLock moved(std::move(first));
    EXPECT_ERROR(resource, format("locked by process {}", ::getpid()), FileLock{path});
  }
  const FileLock again(path);
}

TEST(FileLock, NoDirectoryIsASentence) {
  EXPECT_ERROR(resource, "cannot open /no/such/lock: no such file", FileLock{"/no/such/lock"});
}

}  // namespace
}  // namespace weft
