// From CUDA C++ text to a loadable binary, through NVRTC (found at run time), behind a cache on
// disk that many processes may use at once.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace weft::cuda {

// What is compiled. `text` may #include the headers by the names given here and nothing else.
struct KernelSource {
  std::string name;  // of the __global__ function, which is extern "C"
  std::string text;
  std::vector<std::pair<std::string, std::string>> headers;  // name, text
  std::vector<std::string> flags;                            // beside those of every kernel
};

// What the assembler said: printed by tests, checked against limits.
struct KernelReport {
  int registers = 0, spill_bytes = 0, static_shared_bytes = 0;
  bool serialised = false;  // a warning that wgmma instructions wait for each other
};

struct KernelBinary {
  enum Origin { compiled, cached, embedded };
  std::string cubin, log;
  KernelReport report;
  Origin origin = compiled;
};

// Whether NVRTC is there; its version, or the reason why not.
bool compiler_found(std::string* version_or_reason = nullptr);

// Entries are files named by the hash of text, headers, flags and compiler version. Written whole
// by rename; one that is damaged is removed and made anew.
class KernelCache {
 public:
  explicit KernelCache(std::string folder) : folder_(std::move(folder)) {}
  // $XDG_CACHE_HOME/weft/kernels or ~/.cache/weft/kernels.
  static std::string default_folder();

  // False when absent or damaged.
  bool load(const std::string& key, std::string& cubin, std::string& log) const;
  // A folder that cannot be written is no error: the kernel is compiled again next time.
  void store(const std::string& key, const std::string& cubin, const std::string& log) const;
  std::string path(const std::string& key) const { return folder_ + "/" + key + ".kernel"; }

 private:
  std::string folder_;
};

std::string cache_key(const KernelSource& source, const std::string& compiler_version);

// For compute capability 9.0a: from this binary where it was built in, else from the cache. Throws
// Error(resource) without NVRTC when both lack the kernel, and Error(internal) with the log when
// the text does not compile.
KernelBinary compile(const KernelSource& source, const KernelCache& cache);
// The same, without a look at what was built in.
KernelBinary compile_or_load(const KernelSource& source, const KernelCache& cache);

// Kernels that were compiled when Weft was built, as one run of bytes (tools/embed_kernels.cpp).
void append_embedded(std::string& bytes, const KernelSource& source, const KernelBinary& binary);
// False when this binary has no such kernel: all of them where it was built without NVRTC.
bool find_embedded(const KernelSource& source, KernelBinary& binary);
size_t embedded_count();

KernelReport parse_report(const std::string& log);

}  // namespace weft::cuda
