// Kernels built in. Entries, one behind the other:
//   key (64 letters), bytes of the cubin and of the log (8 each), cubin, log.
// The key does not name the compiler: what is built in is used whatever the machine has.
#include <cstring>
#include <unordered_map>

#include "weft/base/error.h"
#include "weft/device/cuda/compiler.h"

// Defined by the object that embeds them (cmake/weft.cmake); null in programs without it.
extern "C" {
__attribute__((weak)) extern const char weft_embedded_begin[], weft_embedded_end[];
}

namespace weft::cuda {
namespace {

constexpr size_t key_bytes = 64;

struct Entry {
  std::string_view cubin, log;
};

const std::unordered_map<std::string_view, Entry>& embedded() {
  static const auto entries = [] {
    std::unordered_map<std::string_view, Entry> all;
    if (!weft_embedded_begin) return all;
    std::string_view rest(weft_embedded_begin, size_t(weft_embedded_end - weft_embedded_begin));
    const auto take = [&](size_t bytes) {
      WEFT_CHECK(bytes <= rest.size(), "the embedded kernels are cut short");
      const std::string_view part = rest.substr(0, bytes);
      rest.remove_prefix(bytes);
      return part;
    };
    while (!rest.empty()) {
      const std::string_view key = take(key_bytes);
      uint64_t lengths[2];
      std::memcpy(lengths, take(sizeof lengths).data(), sizeof lengths);
      const std::string_view cubin = take(lengths[0]);
      all[key] = {cubin, take(lengths[1])};
    }
    return all;
  }();
  return entries;
}

}  // namespace

void append_embedded(std::string& bytes, const KernelSource& source, const KernelBinary& binary) {
  const uint64_t lengths[] = {binary.cubin.size(), binary.log.size()};
  bytes += cache_key(source, "");
  bytes.append(reinterpret_cast<const char*>(lengths), sizeof lengths);
  bytes += binary.cubin;
  bytes += binary.log;
}

bool find_embedded(const KernelSource& source, KernelBinary& binary) {
  if (embedded().empty()) return false;
  const auto found = embedded().find(cache_key(source, ""));
  if (found == embedded().end()) return false;
  binary.cubin = found->second.cubin;
  binary.log = found->second.log;
  binary.report = parse_report(binary.log);
  binary.origin = KernelBinary::embedded;
  return true;
}

size_t embedded_count() {
  return embedded().size();
}

}  // namespace weft::cuda
