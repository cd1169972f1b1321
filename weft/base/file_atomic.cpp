// AtomicFile, AtomicDirectory and remove_tree: sequences of FileSystem operations.
#include <algorithm>
#include <atomic>
#include <sys/random.h>
#include <unistd.h>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/log.h"

namespace weft {
namespace {

constexpr std::string_view temporary_mark = ".tmp-";
constexpr size_t nonce_digits = 16;

// "path.tmp-" and 16 hexadecimal digits that no other process or call uses.
std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  uint64_t nonce = 0;
  if (::getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
    nonce = uint64_t(::getpid()) << 32 | counter.fetch_add(1);
  return format("{}{}{:016x}", path, temporary_mark, nonce);
}

std::string without_trailing_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// A file's directory entries and then the directory itself.
void remove_with_content(const std::string& path, FileSystem& fs) {
  for (const DirectoryEntry& entry : list_directory(path)) {
    const std::string inner = path + "/" + entry.name;
    if (entry.kind == EntryKind::directory)
      resource_error(
          "cannot remove {}: it holds the directory {}, which Weft did not put there; move it away",
          path, entry.name);
    fs.remove_file(inner);
  }
  fs.remove_directory(path);
}

// For destructors: an error on the way of another error is logged, not thrown.
template <class F>
void clean_up(const std::string& path, F&& remove) noexcept {
  try {
    remove();
  } catch (const std::exception& error) {
    log_warn(format("{} was left behind: {}", path, error.what()));
  }
}

}  // namespace

bool is_temporary_name(std::string_view name) {
  if (name.size() <= temporary_mark.size() + nonce_digits) return false;
  const std::string_view nonce = name.substr(name.size() - nonce_digits);
  return name.substr(0, name.size() - nonce_digits).ends_with(temporary_mark) &&
         nonce.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

AtomicFile::AtomicFile(std::string path, FileSystem& fs)
    : fs_(fs), path_(std::move(path)), temporary_(temporary_name(path_)) {
  file_ = fs_.create(temporary_);
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) fs_.close(file_);
  if (!renamed_) clean_up(temporary_, [&] { fs_.remove_file(temporary_); });
}

void AtomicFile::write(Bytes bytes) {
  WEFT_CHECK(file_ >= 0, "{} is committed", path_);
  fs_.write(file_, path_, bytes);
}

void AtomicFile::commit() {
  WEFT_CHECK(file_ >= 0, "{} is committed", path_);
  fs_.sync(file_, path_);
  fs_.close(file_);
  file_ = -1;
  fs_.rename(temporary_, path_);
  renamed_ = true;
  fs_.sync_directory(parent_directory(path_));
}

void write_file_atomic(const std::string& path, Bytes bytes, FileSystem& fs) {
  AtomicFile file(path, fs);
  file.write(bytes);
  file.commit();
}

void write_file_atomic(const std::string& path, std::string_view text, FileSystem& fs) {
  write_file_atomic(path, as_bytes(text), fs);
}

AtomicDirectory::AtomicDirectory(std::string path, FileSystem& fs)
    : fs_(fs), path_(without_trailing_slash(std::move(path))), staging_(temporary_name(path_)) {
  fs_.make_directory(staging_);
}

AtomicDirectory::~AtomicDirectory() {
  if (!committed_) clean_up(staging_, [&] { remove_with_content(staging_, fs_); });
}

void AtomicDirectory::commit() {
  WEFT_CHECK(!committed_, "{}", path_);
  fs_.sync_directory(staging_);
  const bool replace = path_exists(path_);
  if (replace)
    fs_.exchange(staging_, path_);
  else
    fs_.rename(staging_, path_);
  committed_ = true;
  fs_.sync_directory(parent_directory(path_));
  if (replace) remove_with_content(staging_, fs_);  // the old one, under the temporary name now
}

void remove_tree(const std::string& path, FileSystem& fs) {
  const std::string name = without_trailing_slash(path);
  if (!is_directory(name)) return fs.remove_file(name);
  if (is_temporary_name(name)) return remove_with_content(name, fs);
  const std::string doomed = temporary_name(name);
  fs.rename(name, doomed);
  remove_with_content(doomed, fs);
}

}  // namespace weft
