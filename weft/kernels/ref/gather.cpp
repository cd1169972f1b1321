#include "weft/kernels/gather.h"

#include <cstring>
#include <vector>

namespace weft::kernels::ref {
namespace {

int64_t index_at(const void* indices, DType t, int64_t i) {
  return t == DType::i32 ? static_cast<const int32_t*>(indices)[i]
                         : static_cast<const int64_t*>(indices)[i];
}

void report(int64_t* bad, int64_t i) {
  if (*bad < 0 || i < *bad) *bad = i;
}

template <class T, class Out>
void scatter_add(const ScatterAddRows& p) {
  std::vector<double> sums(size_t(p.rows * p.width));
  for (size_t e = 0; p.onto && e < sums.size(); ++e) sums[e] = double(static_cast<const Out*>(p.out)[e]);
  for (int64_t i = 0; i < p.n; ++i) {
    const int64_t row = index_at(p.indices, p.index_dtype, i);
    if (row < 0 || row >= p.rows) continue;
    for (int64_t c = 0; c < p.width; ++c)
      sums[size_t(row * p.width + c)] +=
          double(Out(static_cast<const T*>(p.grad)[i * p.width + c]));
  }
  for (size_t e = 0; e < sums.size(); ++e) static_cast<Out*>(p.out)[e] = Out(sums[e]);
}

}  // namespace

void gather_rows(const GatherRows& p) {
  const size_t bytes = size_t(p.width * p.element_bytes);
  for (int64_t i = 0; i < p.n; ++i) {
    const int64_t row = index_at(p.indices, p.index_dtype, i);
    char* to = static_cast<char*>(p.out) + size_t(i) * bytes;
    if (row >= 0 && row < p.rows) {
      std::memcpy(to, static_cast<const char*>(p.table) + size_t(row) * bytes, bytes);
    } else {
      std::memset(to, 0, bytes);
      report(p.bad, i);
    }
  }
}

void scatter_rows(const ScatterRows& p) {
  const size_t bytes = size_t(p.width * p.element_bytes);
  for (int64_t i = 0; i < p.n; ++i) {
    const int64_t row = index_at(p.indices, p.index_dtype, i);
    if (row >= p.rows) report(p.bad, i);
    if (row < 0 || row >= p.rows) continue;
    std::memcpy(static_cast<char*>(p.out) + size_t(row) * bytes,
                static_cast<const char*>(p.values) + size_t(i) * bytes, bytes);
  }
}

void scatter_add_rows(const ScatterAddRows& p) {
  switch (p.grad_dtype) {
    case DType::f64:
      return scatter_add<double, double>(p);
    case DType::bf16:
      return scatter_add<bf16, float>(p);
    case DType::f16:
      return scatter_add<f16, float>(p);
    default:
      return scatter_add<float, float>(p);
  }
}

}  // namespace weft::kernels::ref
