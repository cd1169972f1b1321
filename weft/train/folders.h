// Directories for results.
#pragma once
#include <string>

#include "weft/base/file.h"

namespace weft::train {

// The directory and those it lies in; durable when it returns.
void make_directories(const std::string& path, FileSystem& fs = posix_file_system());

}  // namespace weft::train
