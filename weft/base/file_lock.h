// One process at a time: an advisory lock (flock) on a file, held until the object is gone. The
// system lets go of it when the process dies, however that happens, so a lock is never stale and
// the file may stay.
#pragma once
#include <string>

namespace weft {

class FileLock {
 public:
  // Makes the file if need be and writes this process's number into it. Error(resource) naming the
  // other's when it is locked; in one process, too, only one object can hold it.
  explicit FileLock(const std::string& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  int file_;
};

}  // namespace weft
