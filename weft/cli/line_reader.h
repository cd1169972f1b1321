// Lines that a user types, with editing and a history where there is a terminal.
#pragma once
#include <memory>
#include <optional>
#include <string>

namespace weft::cli {

class LineReader {
 public:
  // The prompt is shown on a terminal only.
  explicit LineReader(const std::string& prompt);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // A person types and reads: stdin and stdout are a terminal.
  bool interactive() const { return editor_ != nullptr; }
  // The next line without its end; nothing at the end of the input.
  std::optional<std::string> next();

 private:
  struct Editor;
  std::unique_ptr<Editor> editor_;
};

}  // namespace weft::cli
