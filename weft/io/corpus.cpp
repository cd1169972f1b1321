#include "weft/io/corpus.h"

#include <algorithm>
#include <filesystem>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/json.h"
#include "weft/base/log.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

std::vector<std::string> text_files_below(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(directory, error), end;
  while (!error && at != end) {
    const std::filesystem::path extension = at->path().extension();
    if ((extension == ".txt" || extension == ".jsonl") && at->is_regular_file(error))
      paths.push_back(at->path().string());
    if (!error) at.increment(error);
  }
  if (error)
    resource_error("cannot list {}: {}; check its permissions", directory, error.message());
  std::ranges::sort(paths);
  return paths;
}

std::string text_of(const Json& object, const std::string& field, const std::string& where) {
  if (!object.is_object() || !object.contains(field) || !object[field].is_string())
    data_error("{}: expected an object with the string {}, got {}", where, in_quotes(field),
               in_quotes(dump_json(object)));
  return object[field].get<std::string>();
}

void add_document(std::string text, const std::string& where, Corpus& corpus) {
  check_text(text, where);
  if (text.empty())
    ++corpus.empty;
  else
    corpus.documents.push_back(std::move(text));
}

void add_jsonl(std::string_view file, const std::string& path, const std::string& field,
               Corpus& corpus) {
  int64_t number = 0;
  while (!file.empty()) {
    const size_t end = std::min(file.find('\n'), file.size());
    const std::string_view line = file.substr(0, end);
    const std::string where = format("{} line {}", path, ++number);
    if (line.find_first_not_of(" \t\r") != std::string::npos)
      add_document(text_of(parse_json(line, where), field, where), where, corpus);
    file.remove_prefix(std::min(end + 1, file.size()));
  }
}

}  // namespace

void check_text(const std::string& text, const std::string& what) {
  if (const size_t nul = text.find('\0'); nul != std::string::npos)
    data_error("{} has a NUL at byte {}, so it is no text file; give UTF-8 text", what, nul);
  if (const size_t bad = find_invalid_utf8(text); bad != std::string::npos)
    data_error("{} is not UTF-8 at byte {}: {}; convert it, for example with iconv", what, bad,
               in_quotes(std::string_view(text).substr(bad, 4)));
}

Corpus read_corpus(const std::string& path, const CorpusOptions& options) {
  const bool directory = is_directory(path);
  const std::vector<std::string> paths = directory ? text_files_below(path) : std::vector{path};
  if (paths.empty())
    data_error("{} holds no .txt or .jsonl file; put some there or name a file", path);
  Corpus corpus;
  corpus.one_file = !directory && !path.ends_with(".jsonl");
  uint64_t left = options.max_bytes;
  for (const std::string& file : paths) {
    std::string text = read_file(file, left);
    left -= text.size();
    if (file.ends_with(".jsonl"))
      add_jsonl(text, file, options.field, corpus);
    else
      add_document(std::move(text), file, corpus);
  }
  if (corpus.documents.empty()) data_error("{} holds no text; give a file with some", path);
  if (corpus.empty > 0) log_warn(format("{}: {} empty documents were skipped", path, corpus.empty));
  return corpus;
}

}  // namespace weft
