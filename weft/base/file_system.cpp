// The FileSystem of this machine.
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/file_errors.h"

namespace weft {
namespace {

class PosixFileSystem final : public FileSystem {
 public:
  int create(const std::string& path) override {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0) fail_to("create", path);
    return file;
  }

  void write(int file, const std::string& path, Bytes bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(file, bytes.data(), std::min(bytes.size(), size_t(1) << 30));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_to("write", path);
      bytes = bytes.subspan(size_t(n));
    }
  }

  void sync(int file, const std::string& path) override {
    if (::fsync(file) != 0) fail_to("fsync", path);
  }

  // What close would report, fsync has reported.
  void close(int file) override { ::close(file); }

  void sync_directory(const std::string& path) override {
    const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) fail_to("open", path);
    const int result = ::fsync(directory), error = errno;
    ::close(directory);
    errno = error;
    if (result != 0) fail_to("fsync", path);
  }

  void make_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) != 0) fail_to("create the directory", path);
  }
  void rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) fail_to("rename a file to", to);
  }
  void exchange(const std::string& a, const std::string& b) override {
    if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) != 0)
      fail_to("replace", b);
  }
  void remove_file(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) fail_to("remove", path);
  }
  void remove_directory(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0) fail_to("remove the directory", path);
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem instance;
  return instance;
}

}  // namespace weft
