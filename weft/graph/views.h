// Strides of view nodes: reshape, transpose, slice, split and broadcast as another way to walk the
// same bytes.
#pragma once
#include <optional>

#include "weft/graph/lowering.h"

namespace weft {

// Of output number `output`. Empty when no strides over the input's bytes can say it.
struct ViewDerivation {
  Shape shape, strides;
  int64_t offset = 0;  // elements
};
std::optional<ViewDerivation> derive_view(const Op& op, const Attrs& attrs, const Shape& shape,
                                          const Shape& strides, const Shape& out, int output);

}  // namespace weft
