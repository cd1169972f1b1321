// The one error type. At the border (cli, server) each becomes a single sentence: what was
// expected, what came, where, and what to do about it.
#pragma once
#include <exception>
#include <string>
#include <utility>

#include "weft/base/format.h"

namespace weft {

enum class ErrorKind {
  user,      // the request makes no sense: wrong flag, wrong shape; exit code 2
  data,      // bytes that were read are not what they claim to be; exit code 1
  resource,  // memory, disk, permission, missing file; exit code 1
  internal,  // a bug in Weft; exit code 1
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}
  ErrorKind kind() const { return kind_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorKind kind_;
  std::string message_;
};

template <class... Args>
[[noreturn]] void throw_error(ErrorKind kind, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(kind, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
[[noreturn]] void user_error(fmt::format_string<Args...> text, Args&&... args) {
  throw Error(ErrorKind::user, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
[[noreturn]] void data_error(fmt::format_string<Args...> text, Args&&... args) {
  throw Error(ErrorKind::data, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
[[noreturn]] void resource_error(fmt::format_string<Args...> text, Args&&... args) {
  throw Error(ErrorKind::resource, fmt::format(text, std::forward<Args>(args)...));
}

[[noreturn]] void check_failed(const char* file, int line, const char* expression,
                               const std::string& values);

}  // namespace weft

// A broken invariant of Weft itself. Throws Error(internal), never aborts. Give the values that
// were compared: WEFT_CHECK(a == b, "a {} b {}", a, b).
#define WEFT_CHECK(condition, ...)                                               \
  do {                                                                           \
    if (!(condition)) [[unlikely]]                                               \
      ::weft::check_failed(__FILE__, __LINE__, #condition,                       \
                           std::string(__VA_OPT__(::fmt::format(__VA_ARGS__)))); \
  } while (false)
