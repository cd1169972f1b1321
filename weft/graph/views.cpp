// Strides of view nodes.
#include "weft/graph/views.h"

namespace weft {
namespace {

// Splits or merges dimensions of a strided array without moving bytes, where that is possible:
// walks both shapes in groups of equal size; a group of input dimensions must be contiguous within
// itself.
std::optional<Shape> reshape_strides(const Shape& shape, const Shape& strides, const Shape& out) {
  Shape result = out;
  int i = shape.rank() - 1, o = out.rank() - 1;
  while (o >= 0 || i >= 0) {
    while (i >= 0 && shape[i] == 1) --i;
    if (i < 0) {
      for (; o >= 0; --o) result[o] = 1;
      break;
    }
    int64_t have = shape[i], step = strides[i];
    const int64_t inner = step;
    int64_t need = 1, at = inner;
    do {
      if (o < 0) return {};
      result[o] = at;
      at *= out[o];
      need *= out[o--];
      while (have < need && i > 0 && strides[i - 1] == step * shape[i]) {
        step = strides[--i];
        have *= shape[i];
      }
    } while (need < have);
    if (need != have) return {};
    --i;
  }
  return result;
}

}  // namespace

std::optional<ViewDerivation> derive_view(const Op& op, const Attrs& attrs, const Shape& shape,
                                          const Shape& strides, const Shape& out, int output) {
  ViewDerivation d{out, strides, 0};
  if (&op == &slice_op) {
    d.offset = strides[int(attrs.integer("axis"))] * attrs.integer("begin");
  } else if (&op == &split_op) {
    const int axis = int(attrs.integer("axis"));
    d.offset = strides[axis] * out[axis] * output;
  } else if (&op == &transpose_op) {
    const std::vector<int64_t>& p = attrs.list("permutation");
    for (int i = 0; i < out.rank(); ++i) d.strides[i] = strides[int(p[size_t(i)])];
  } else if (&op == &broadcast_op) {
    d.strides = out;
    const int added = out.rank() - shape.rank();
    for (int i = 0; i < out.rank(); ++i)
      d.strides[i] = i < added || shape[i - added] != out[i] ? 0 : strides[i - added];
  } else if (&op == &packed_op) {
    d.strides = Layout::contiguous(out).strides;  // of a layout that only products know
  } else {
    WEFT_CHECK(&op == &reshape_op, "{}", op.name);
    if (out.elements() == 0) {
      d.strides = Layout::contiguous(out).strides;
      return d;
    }
    const std::optional<Shape> found = reshape_strides(shape, strides, out);
    if (!found) return {};
    d.strides = *found;
  }
  return d;
}

}  // namespace weft
