#include "weft/kernels/copy.h"

#include <cstring>

namespace weft::kernels::ref {

void strided_copy(const StridedCopy& p) {
  int64_t total = 1;
  for (int d = 0; d < p.rank; ++d) total *= p.sizes[d];
  for (int64_t e = 0; e < total; ++e) {
    int64_t rest = e, from = 0, to = 0;
    for (int d = p.rank - 1; d >= 0; --d) {
      const int64_t i = rest % p.sizes[d];
      rest /= p.sizes[d];
      from += i * p.in_strides[d], to += i * p.out_strides[d];
    }
    std::memcpy(static_cast<char*>(p.out) + to * p.element_bytes,
                static_cast<const char*>(p.in) + from * p.element_bytes, size_t(p.element_bytes));
  }
}

void fill(const Fill& p) {
  for (int64_t i = 0; i < p.n; ++i)
    std::memcpy(static_cast<char*>(p.out) + i * p.element_bytes, &p.bits, size_t(p.element_bytes));
}

}  // namespace weft::kernels::ref
