// A fresh directory for one test, removed with everything in it at the end.
#pragma once
#include <filesystem>
#include <stdlib.h>
#include <string>

#include "weft/base/error.h"

namespace weft::testing {

class TempDirectory {
 public:
  TempDirectory() {
    std::error_code none;  // memory is faster than a disk where fsync is real
    const bool memory = std::filesystem::is_directory("/dev/shm", none);
    const auto parent = memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "weft-test-XXXXXX").string();
    WEFT_CHECK(::mkdtemp(pattern.data()) != nullptr, "{}", pattern);
    path_ = pattern;
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace weft::testing
