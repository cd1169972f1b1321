// Helpers shared by the op families' rules. Internal to graph/.
#pragma once
#include "weft/graph/lowering.h"
#include "weft/graph/ops.h"

namespace weft {

using Types = std::vector<TensorType>;

// "[op] expected X, got Y".
template <class... Args>
void expect(bool ok, std::string_view op, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) user_error("[{}] {}", op, fmt::format(text, std::forward<Args>(args)...));
}
inline void expect_rank(const TensorType& t, int rank, std::string_view op, std::string_view what) {
  expect(t.dims.rank() == rank, op, "{} must have {} dimensions, got {}", what, rank, t.str());
}
inline void expect_dtype(const TensorType& t, DType dtype, std::string_view op,
                         std::string_view what) {
  expect(t.dtype == dtype, op, "{} must be {}, got {}", what, dtype_name(dtype), t.str());
}
inline void expect_float(const TensorType& t, std::string_view op, std::string_view what) {
  expect(is_float(t.dtype), op, "{} must be a float tensor, got {}", what, t.str());
}

// f64 stays f64; every other float's statistics and sums are f32.
inline DType stats_dtype(DType t) {
  return t == DType::f64 ? DType::f64 : DType::f32;
}

// Sums x down to `dims`, undoing a broadcast.
Tensor sum_to(const Tensor& x, const Dims& dims);
// {x}, as a rule's only cotangent.
inline Tensors only(Tensor x) {
  return {std::move(x)};
}

}  // namespace weft
