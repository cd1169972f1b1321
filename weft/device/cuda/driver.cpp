#include "weft/device/cuda/driver.h"

#include <dlfcn.h>

namespace weft::cuda {
namespace {

struct Found {
  Driver driver;
  bool usable = false;
  std::string why_not;
};

std::string load(Driver& d) {
  void* library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (!library) return "no driver: libcuda.so.1 not found";
#define WEFT_CUDA_LOAD(member, symbol, parameters)                              \
  d.member = reinterpret_cast<Status(*) parameters>(::dlsym(library, #symbol)); \
  if (!d.member) return "the driver is too old: libcuda.so.1 has no " #symbol;
  WEFT_CUDA_DRIVER(WEFT_CUDA_LOAD)
#undef WEFT_CUDA_LOAD
  const Status status = d.init(0);
  if (status == 0) return "";
  const char* name = nullptr;
  d.error_name(status, &name);
  return format("the driver found no device it can use: cuInit gave {}", name ? name : "an error");
}

const Found& found() {
  static const Found result = [] {
    Found f;
    f.why_not = load(f.driver);
    f.usable = f.why_not.empty();
    return f;
  }();
  return result;
}

}  // namespace

const Driver* find_driver(std::string* why_not) {
  const Found& f = found();
  if (why_not) *why_not = f.why_not;
  return f.usable ? &f.driver : nullptr;
}

const Driver& driver() {
  const Found& f = found();
  if (!f.usable) resource_error("a CUDA device was asked for, but there is {}", f.why_not);
  return f.driver;
}

void call_failed(Status status, std::string_view call, const std::string& context) {
  const char* name = nullptr;
  const char* text = nullptr;
  const Driver& d = driver();
  d.error_name(status, &name);
  d.error_text(status, &text);
  resource_error("{}{}{} failed: {} ({})", call, context.empty() ? "" : " of ", context,
                 name ? name : "unknown", text ? text : "no text");
}

}  // namespace weft::cuda
