#include "weft/engine/stop_filter.h"

#include <algorithm>
#include <utility>

namespace weft::engine {
namespace {

// Bytes of the longest end of `text` with which some stop string begins, without being all of it.
size_t begun(std::string_view text, const std::vector<std::string>& stops) {
  size_t longest = 0;
  for (const std::string& stop : stops)
    for (size_t n = std::min(stop.size() - 1, text.size()); n > longest; --n)
      if (text.ends_with(std::string_view(stop).substr(0, n))) longest = n;
  return longest;
}

// Bytes of the longest stop string with which `text` ends.
size_t ended(std::string_view text, const std::vector<std::string>& stops) {
  size_t longest = 0;
  for (const std::string& stop : stops)
    if (text.ends_with(stop)) longest = std::max(longest, stop.size());
  return longest;
}

}  // namespace

std::string StopFilter::push(std::string_view text) {
  if (stopped_) return "";
  for (const char c : text) {
    held_ += c;
    if (const size_t n = ended(held_, stops_); n > 0) {
      stopped_ = true;
      held_.resize(held_.size() - n);
      return std::exchange(held_, "");
    }
  }
  const size_t safe = held_.size() - begun(held_, stops_);
  std::string out = held_.substr(0, safe);
  held_.erase(0, safe);
  return out;
}

std::string StopFilter::finish() {
  return std::exchange(held_, "");
}

}  // namespace weft::engine
