#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

#include "weft/base/error.h"
#include "weft/train/run_folder.h"

namespace weft::train {
namespace {

constexpr std::string_view line_start = "{\"step\":";

// The bytes of the lines of steps 0 .. step.
size_t length_until(std::string_view text, int64_t step) {
  size_t kept = 0;
  while (true) {
    const size_t end = text.find('\n', kept);
    if (end == text.npos) return kept;
    const std::string_view line = text.substr(kept, end - kept);
    int64_t at = 0;
    if (!line.starts_with(line_start)) return kept;
    const auto [stop, error] =
        std::from_chars(line.data() + line_start.size(), line.data() + line.size(), at);
    if (error != std::errc() || at > step) return kept;
    kept = end + 1;
  }
}

}  // namespace

Metrics::Metrics(const std::string& run, int64_t step, FileSystem& fs)
    : path_(run + "/metrics.jsonl") {
  if (path_exists(path_)) {
    const std::string text = read_file(path_, uint64_t(1) << 36);
    const size_t kept = length_until(text, step);
    if (kept < text.size()) write_file_atomic(path_, std::string_view(text).substr(0, kept), fs);
  }
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0)
    resource_error("cannot open {}: {}; check its permissions", path_, std::strerror(errno));
}

Metrics::~Metrics() {
  ::close(file_);
}

void Metrics::line(int64_t step, const std::string& fields) {
  const std::string text = format("{}{},{}}}\n", line_start, step, fields);
  for (size_t written = 0; written < text.size();) {
    const ssize_t n = ::write(file_, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) resource_error("cannot write {}: {}; make room", path_, std::strerror(errno));
    written += size_t(n);
  }
}

void Metrics::sync() {
  if (::fsync(file_) != 0)
    resource_error("cannot write {}: {}; make room", path_, std::strerror(errno));
}

}  // namespace weft::train
