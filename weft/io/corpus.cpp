#include "weft/io/corpus.h"

#include <algorithm>
#include <filesystem>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/log.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

std::vector<std::string> text_files_below(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(directory, error), end;
  while (!error && at != end) {
    if (at->path().extension() == ".txt" && at->is_regular_file(error))
      paths.push_back(at->path().string());
    if (!error) at.increment(error);
  }
  if (error)
    resource_error("cannot list {}: {}; check its permissions", directory, error.message());
  std::ranges::sort(paths);
  return paths;
}

}  // namespace

void check_text(const std::string& text, const std::string& what) {
  if (const size_t nul = text.find('\0'); nul != std::string::npos)
    data_error("{} has a NUL at byte {}, so it is no text file; give UTF-8 text", what, nul);
  if (const size_t bad = find_invalid_utf8(text); bad != std::string::npos)
    data_error("{} is not UTF-8 at byte {}: {}; convert it, for example with iconv", what, bad,
               in_quotes(std::string_view(text).substr(bad, 4)));
}

std::vector<Document> read_corpus(const std::string& path, uint64_t max_bytes) {
  const bool directory = is_directory(path);
  const std::vector<std::string> paths = directory ? text_files_below(path) : std::vector{path};
  if (paths.empty()) data_error("{} holds no .txt file; put some there or name a file", path);
  std::vector<Document> documents;
  uint64_t left = max_bytes;
  for (const std::string& file : paths) {
    Document document{file, read_file(file, left)};
    check_text(document.text, file);
    left -= document.text.size();
    if (!document.text.empty())
      documents.push_back(std::move(document));
    else if (directory)
      log_warn(format("{} is empty and was skipped", file));
  }
  if (documents.empty()) data_error("{} holds no text; give a file with some", path);
  return documents;
}

}  // namespace weft
