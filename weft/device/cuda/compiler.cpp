#include "weft/device/cuda/compiler.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <mutex>

#include "weft/base/error.h"
#include "weft/base/sha256.h"
#include "weft/device/cuda/nvrtc.h"

namespace weft::cuda {
namespace {

std::string load(Nvrtc& n) {
  void* library = nullptr;
  for (const char* name : {"libnvrtc.so.13", "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"})
    if (!library) library = ::dlopen(name, RTLD_NOW);
  if (!library) return "no run-time compiler: libnvrtc.so not found";
#define WEFT_NVRTC_LOAD(member, symbol, result, parameters)                     \
  n.member = reinterpret_cast<result(*) parameters>(::dlsym(library, #symbol)); \
  if (!n.member) return "libnvrtc is too old: it has no " #symbol;
  WEFT_NVRTC(WEFT_NVRTC_LOAD)
#undef WEFT_NVRTC_LOAD
  return "";
}

struct Found {
  Nvrtc nvrtc;
  std::string why_not, version;
};

const Found& found() {
  static const Found result = [] {
    Found f;
    f.why_not = load(f.nvrtc);
    int major = 0, minor = 0;
    if (f.why_not.empty() && f.nvrtc.version(&major, &minor) == 0)
      f.version = format("nvrtc {}.{}", major, minor);
    if (f.why_not.empty() && major < 13)
      f.why_not = format("libnvrtc is {}.{}; CUDA 13.0 or newer is needed", major, minor);
    return f;
  }();
  return result;
}

// Every kernel: exactly this chip, so that wgmma and setmaxnreg may be used; unmarked functions are
// device functions, so that host and device share constexpr code.
std::vector<std::string> all_flags(const KernelSource& source) {
  std::vector<std::string> flags{"--gpu-architecture=sm_90a", "--std=c++20",
                                 "--device-as-default-execution-space", "--ptxas-options=-v",
                                 "--ptxas-options=-warn-spills"};
  flags.insert(flags.end(), source.flags.begin(), source.flags.end());
  return flags;
}

// Owns an nvrtcProgram.
struct Program {
  const Nvrtc& n;
  void* handle = nullptr;
  ~Program() { n.destroy(&handle); }
};

std::string log_of(const Program& program) {
  size_t bytes = 0;
  if (program.n.log_size(program.handle, &bytes) != 0 || bytes == 0) return "";
  std::string log(bytes, '\0');
  program.n.log(program.handle, log.data());
  log.resize(std::strlen(log.c_str()));
  return log;
}

KernelBinary compile_now(const KernelSource& source, const Nvrtc& nvrtc) {
  std::vector<const char*> texts, names, flags;
  for (const auto& header : source.headers) {
    names.push_back(header.first.c_str());
    texts.push_back(header.second.c_str());
  }
  const std::vector<std::string> words = all_flags(source);
  for (const std::string& word : words) flags.push_back(word.c_str());
  Program program{nvrtc};
  WEFT_CHECK(nvrtc.create(&program.handle, source.text.c_str(), source.name.c_str(),
                          int(texts.size()), texts.data(), names.data()) == 0);
  const int result = nvrtc.compile(program.handle, int(flags.size()), flags.data());
  KernelBinary binary;
  binary.log = log_of(program);
  if (result != 0)
    throw_error(ErrorKind::internal, "kernel {} does not compile ({}):\n{}", source.name,
                nvrtc.error_text(result), binary.log);
  size_t bytes = 0;
  WEFT_CHECK(nvrtc.cubin_size(program.handle, &bytes) == 0 && bytes > 0);
  binary.cubin.resize(bytes);
  WEFT_CHECK(nvrtc.cubin(program.handle, binary.cubin.data()) == 0);
  return binary;
}

// The number between `before` and `after`; 0 when there is none.
int number_between(const std::string& log, const std::string& before, const std::string& after) {
  for (size_t at = log.find(before); at != std::string::npos; at = log.find(before, at + 1)) {
    size_t end = at + before.size();
    while (end < log.size() && std::isdigit(static_cast<unsigned char>(log[end]))) ++end;
    if (log.compare(end, after.size(), after) == 0)
      return std::atoi(log.substr(at + before.size(), end - at - before.size()).c_str());
  }
  return 0;
}

}  // namespace

bool compiler_found(std::string* version_or_reason) {
  const Found& f = found();
  if (version_or_reason) *version_or_reason = f.why_not.empty() ? f.version : f.why_not;
  return f.why_not.empty();
}

std::string cache_key(const KernelSource& source, const std::string& compiler_version) {
  Sha256 hash;
  // Each part with its length before it, so that no two lists of parts read alike.
  const auto add = [&](const std::string& part) {
    const std::string length = std::to_string(part.size()) + ":";
    hash.update(std::as_bytes(std::span(length)));
    hash.update(std::as_bytes(std::span(part)));
  };
  add("weft kernel 1");
  add(compiler_version);
  add(source.name);
  add(source.text);
  for (const auto& header : source.headers) {
    add(header.first);
    add(header.second);
  }
  for (const std::string& flag : all_flags(source)) add(flag);
  return to_hex(hash.finish());
}

KernelReport parse_report(const std::string& log) {
  KernelReport report;
  report.spill_bytes = number_between(log, "stack frame, ", " bytes spill stores");
  report.static_shared_bytes = number_between(log, ", ", " bytes smem");
  report.registers = number_between(log, "Used ", " registers");
  for (const char* code : {"C7504", "C7508", "C7510", "C7511", "C7512", "C7514", "C7520"})
    report.serialised = report.serialised || log.find(code) != std::string::npos;
  return report;
}

KernelBinary compile(const KernelSource& source, const KernelCache& cache) {
  KernelBinary binary;
  return find_embedded(source, binary) ? binary : compile_or_load(source, cache);
}

KernelBinary compile_or_load(const KernelSource& source, const KernelCache& cache) {
  const Found& f = found();
  const std::string key = cache_key(source, f.version);
  KernelBinary binary;
  if (cache.load(key, binary.cubin, binary.log)) {
    binary.origin = KernelBinary::cached;
  } else {
    if (!f.why_not.empty()) resource_error("kernel {} cannot be built: {}", source.name, f.why_not);
    binary = compile_now(source, f.nvrtc);
    cache.store(key, binary.cubin, binary.log);
  }
  binary.report = parse_report(binary.log);
  return binary;
}

}  // namespace weft::cuda
