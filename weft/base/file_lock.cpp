#include "weft/base/file_lock.h"

#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

#include "weft/base/error.h"
#include "weft/base/file_errors.h"

namespace weft {
namespace {

// "process 17" as the holder wrote it.
std::string holder(int file) {
  char text[32];
  const ssize_t size = ::pread(file, text, sizeof text, 0);
  int process = 0;
  if (size > 0) std::from_chars(text, text + size, process);
  return process > 0 ? format("process {}", process) : "another process";
}

}  // namespace

FileLock::FileLock(const std::string& path)
    : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (file_ < 0) fail_to("open", path);
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    const std::string who = holder(file_);
    ::close(std::exchange(file_, -1));
    errno = reason;
    if (reason != EWOULDBLOCK) fail_to("lock", path);
    resource_error(
        "{} is locked by {}, which works in that folder; wait until it is done, or stop it", path,
        who);
  }
  // Only what others are told: an empty file, on a full disk, locks as well.
  const std::string number = format("{}\n", ::getpid());
  [[maybe_unused]] const bool told =
      ::ftruncate(file_, 0) == 0 && ::pwrite(file_, number.data(), number.size(), 0) > 0;
}

FileLock::~FileLock() {
  if (file_ >= 0) ::close(file_);
}

FileLock::FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

}  // namespace weft
