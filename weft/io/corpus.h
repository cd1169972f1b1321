// Text to train on: one file, or a directory of *.txt files.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace weft {

struct Document {
  std::string path;
  std::string text;  // UTF-8 without NUL, not empty
};

// The file `path`, or every *.txt below the directory `path`, sorted by path (bytewise); empty
// files in a directory are skipped with a warning. Error(data) naming the file and the offset for
// binary content and what is not UTF-8, and when there is no text or more than `max_bytes` of it.
// Links to directories are not followed.
std::vector<Document> read_corpus(const std::string& path, uint64_t max_bytes = uint64_t(1) << 36);

// The checks alone.
void check_text(const std::string& text, const std::string& what);

}  // namespace weft
