// Ends a stream of text at the first stop string, none of which may reach the reader in part.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace weft::engine {

// What comes out is a function of the whole text, however it was cut into pieces: all before the
// stop string that is complete first (of several that end at one place, the longest).
class StopFilter {
 public:
  // None may be empty.
  explicit StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // What is known to come before any stop string; often less than `text`, sometimes more.
  std::string push(std::string_view text);
  // A stop string has come; push() gives nothing more.
  bool stopped() const { return stopped_; }
  // What was held back, when no more text comes.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;  // might be the beginning of a stop string
  bool stopped_ = false;
};

}  // namespace weft::engine
