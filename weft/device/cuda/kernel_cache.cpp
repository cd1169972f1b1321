// KernelCache: one file an entry:
//   8 bytes "weftkrn1", 32 bytes SHA-256 of the rest, 8 bytes length of the cubin, cubin, log.
#include <cstdlib>
#include <cstring>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/log.h"
#include "weft/base/sha256.h"
#include "weft/device/cuda/compiler.h"

namespace weft::cuda {
namespace {

constexpr char magic[] = "weftkrn1";
constexpr size_t magic_bytes = 8, digest_bytes = 32, length_bytes = 8;
constexpr size_t header_bytes = magic_bytes + digest_bytes + length_bytes;
constexpr uint64_t max_entry_bytes = uint64_t(256) << 20;

void make_folders(const std::string& path) {
  if (path.empty() || path == "." || path == "/" || is_directory(path)) return;
  make_folders(parent_directory(path));
  try {
    posix_file_system().make_directory(path);
  } catch (const Error&) {
    if (!is_directory(path)) throw;  // another process may have been first
  }
}

// Cuts an entry; false when it is not what was written.
bool parse(const std::string& entry, std::string& cubin, std::string& log) {
  if (entry.size() < header_bytes || entry.compare(0, magic_bytes, magic) != 0) return false;
  const Sha256Digest digest = sha256(std::string_view(entry).substr(magic_bytes + digest_bytes));
  if (std::memcmp(entry.data() + magic_bytes, digest.data(), digest_bytes) != 0) return false;
  uint64_t length = 0;
  std::memcpy(&length, entry.data() + magic_bytes + digest_bytes, length_bytes);
  if (length > entry.size() - header_bytes) return false;
  cubin = entry.substr(header_bytes, length);
  log = entry.substr(header_bytes + length);
  return true;
}

}  // namespace

std::string KernelCache::default_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::string(cache) + "/weft/kernels";
  const char* home = std::getenv("HOME");
  return std::string(home && *home ? home : ".") + "/.cache/weft/kernels";
}

bool KernelCache::load(const std::string& key, std::string& cubin, std::string& log) const {
  if (!path_exists(path(key))) return false;
  try {
    if (parse(read_file(path(key), max_entry_bytes), cubin, log)) return true;
    log_warn(format("{} is damaged; the kernel is compiled again", path(key)));
  } catch (const Error& error) {  // another process may have removed it meanwhile
    log_warn(format("kernel cache: {}", error.what()));
  }
  return false;
}

void KernelCache::store(const std::string& key, const std::string& cubin,
                        const std::string& log) const {
  const uint64_t length = cubin.size();
  std::string rest(reinterpret_cast<const char*>(&length), length_bytes);
  rest += cubin;
  rest += log;
  const Sha256Digest digest = sha256(rest);
  std::string entry(magic, magic_bytes);
  entry.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  entry += rest;
  try {
    make_folders(folder_);
    write_file_atomic(path(key), std::string_view(entry));
  } catch (const Error& error) {
    log_warn(format("kernel cache: {}", error.what()));
  }
}

}  // namespace weft::cuda
