// What errno means for the reader of an error sentence. For the .cpp files of base/file.h only.
#pragma once
#include <string>

namespace weft {

// Throws Error(resource) for errno: "cannot write data/x.bin: the disk is full; free some space,
// then try again".
[[noreturn]] void fail_to(const char* what, const std::string& path);

}  // namespace weft
