#include "weft/tensor/dtype.h"

#include <immintrin.h>

#include "weft/base/error.h"

namespace weft {

f16::f16(float value) : bits(uint16_t(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT))) {}
f16::operator float() const {
  return _cvtsh_ss(bits);
}

DType parse_dtype(std::string_view name) {
  for (int i = 0; i <= int(DType::boolean); ++i)
    if (dtype_name(DType(i)) == name) return DType(i);
  user_error("{} is not a dtype; there are f64, f32, bf16, f16, i64, i32, u8 and bool", name);
}

}  // namespace weft
