// Text to train on: a file, or a directory of files.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace weft {

struct CorpusOptions {
  std::string field = "text";              // of the objects in JSONL files
  uint64_t max_bytes = uint64_t(1) << 36;  // of all files together
};

struct Corpus {
  std::vector<std::string> documents;  // UTF-8 without NUL, none empty
  int64_t empty = 0;                   // documents that were left out because they were
  bool one_file = false;               // of plain text: a single document
};

// The file `path`, or every *.txt and *.jsonl below the directory `path`, sorted by path
// (bytewise). A .jsonl file has a document on each line, the string `field` of a JSON object; every
// other file is a document. Error(data) naming the file and the offset or line for binary content,
// what is not UTF-8 and what is not such an object, and when there is no text or more than
// `max_bytes` of it. Links to directories are not followed.
Corpus read_corpus(const std::string& path, const CorpusOptions& options = {});

// The checks alone.
void check_text(const std::string& text, const std::string& what);

}  // namespace weft
