#include "weft/base/file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "weft/base/error.h"
#include "weft/base/file_errors.h"

namespace weft {
namespace {

std::string reason(int error, const std::string& path) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "the disk or the quota is full; free some space, then try again";
    case EACCES:
    case EPERM:
      return "permission denied; choose another place or change its permissions";
    case EROFS:
      return "the file system is read-only; choose another place";
    case ENOENT:
      return format("no such file or directory; check the spelling and that {} exists",
                    parent_directory(path));
    case ENOTDIR:
      return "a part of the path is a file, not a directory; check the spelling";
    case EISDIR:
      return "it is a directory; give the path of a file";
    case EEXIST:
    case ENOTEMPTY:
      return "it exists already; remove it or choose another name";
    case EMFILE:
    case ENFILE:
      return "too many files are open; raise the limit (ulimit -n)";
    case EIO:
      return "the disk reports an error; check its health and use another";
    default:
      return format("{}; check the path and the file system", std::strerror(error));
  }
}

// A file open for reading, closed when it goes out of scope.
class Input {
 public:
  explicit Input(const std::string& path) : path_(path) {
    file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file_ < 0) fail_to("open", path);
  }
  ~Input() { ::close(file_); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  int get() const { return file_; }
  uint64_t size() const {
    struct stat info;
    if (::fstat(file_, &info) != 0) fail_to("inspect", path_);
    if (S_ISDIR(info.st_mode)) {
      errno = EISDIR;
      fail_to("read", path_);
    }
    if (!S_ISREG(info.st_mode))
      resource_error("cannot read {}: it is a pipe or a device; give the path of a regular file",
                     path_);
    return uint64_t(info.st_size);
  }

 private:
  std::string path_;
  int file_;
};

EntryKind kind_of(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return EntryKind::other;
  if (S_ISDIR(info.st_mode)) return EntryKind::directory;
  return S_ISREG(info.st_mode) ? EntryKind::file : EntryKind::other;
}

}  // namespace

void fail_to(const char* what, const std::string& path) {
  resource_error("cannot {} {}: {}", what, path, reason(errno, path));
}

std::string read_file(const std::string& path, uint64_t max_bytes) {
  const Input input(path);
  const uint64_t size = input.size();
  if (size > max_bytes)
    data_error("{} has {} bytes, more than the {} allowed here; is it the right file?", path, size,
               max_bytes);
  std::string text(size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::read(input.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_to("read", path);
    if (n == 0) data_error("{} became shorter while it was read; try again", path);
    done += size_t(n);
  }
  return text;
}

std::vector<DirectoryEntry> list_directory(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) fail_to("list", path);
  std::vector<DirectoryEntry> entries;
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") entries.push_back({name, kind_of(path + "/" + name)});
    errno = 0;
  }
  if (errno != 0) fail_to("list", path);
  std::ranges::sort(entries, {}, &DirectoryEntry::name);
  return entries;
}

bool path_exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

bool is_directory(const std::string& path) {
  return kind_of(path) == EntryKind::directory;
}

std::string parent_directory(const std::string& path) {
  const size_t end = path.find_last_not_of('/');  // "a/b/" lies in "a"
  if (end == std::string::npos) return path.empty() ? "." : "/";
  const size_t slash = path.find_last_of('/', end);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Input input(path);
  size_ = input.size();
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, input.get(), 0);
  if (address == MAP_FAILED) fail_to("map", path);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::advise(Advice advice) const {
  if (!data_) return;
  constexpr int flags[] = {MADV_NORMAL, MADV_SEQUENTIAL, MADV_RANDOM, MADV_WILLNEED};
  ::madvise(const_cast<std::byte*>(data_), size_,
            flags[int(advice)]);  // a hint: failure is harmless
}

}  // namespace weft
