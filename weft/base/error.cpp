#include "weft/base/error.h"

#include <cstring>

namespace weft {

void check_failed(const char* file, int line, const char* expression, const std::string& values) {
  const char* relative = std::strstr(file, "weft/");
  throw_error(ErrorKind::internal, "internal error: {}:{}: expected {}{}{}",
              relative ? relative : file, line, expression, values.empty() ? "" : ", got ", values);
}

}  // namespace weft
