#include "weft/tensor/array.h"

#include <algorithm>

namespace weft {

Shape::Shape(std::span<const int64_t> dims) : rank_(int(dims.size())) {
  if (dims.size() > max_rank)
    user_error("a shape has at most {} dimensions, got {}", max_rank, dims.size());
  for (int i = 0; i < rank_; ++i) {
    if (dims[i] < 0) user_error("dimension {} of a shape is {}; it cannot be negative", i, dims[i]);
    dims_[i] = dims[i];
  }
}

int64_t Shape::elements() const {
  int64_t n = 1;
  for (const int64_t d : dims())
    if (__builtin_mul_overflow(n, d, &n))
      user_error("a tensor of shape {} has too many elements", str());
  return n;
}

bool Shape::operator==(const Shape& other) const {
  return std::ranges::equal(dims(), other.dims());
}

std::string Shape::str() const {
  std::string s = "[";
  for (int i = 0; i < rank_; ++i) s += format("{}{}", i ? ", " : "", dims_[i]);
  return s + "]";
}

Layout Layout::contiguous(const Shape& shape) {
  Layout l{shape, shape};
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    l.strides[i] = stride;
    stride *= shape[i];
  }
  return l;
}

bool Layout::is_contiguous() const {
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    if (shape[i] != 1 && strides[i] != stride) return false;
    stride *= shape[i];
  }
  return true;
}

Array::Array(Device& device, DType dtype, const Shape& shape)
    : buffer_(device.allocate(size_t(shape.elements()) * dtype_size(dtype))),
      dtype_(dtype),
      layout_(Layout::contiguous(shape)) {}

Array::Array(BufferPtr buffer, size_t byte_offset, DType dtype, Layout layout)
    : buffer_(std::move(buffer)), byte_offset_(byte_offset), dtype_(dtype), layout_(layout) {}

Array Array::slice(int dim, int64_t begin, int64_t end) const {
  const int rank = shape().rank();
  if (dim < 0 || dim >= rank || begin < 0 || begin > end || end > shape()[dim])
    user_error("slice [{}, {}) of dimension {} does not lie in shape {}", begin, end, dim,
               shape().str());
  Array view = *this;
  view.byte_offset_ += size_t(begin * layout_.strides[dim]) * dtype_size(dtype_);
  view.layout_.shape[dim] = end - begin;
  return view;
}

Array Array::transpose(int a, int b) const {
  const int rank = shape().rank();
  if (a < 0 || b < 0 || a >= rank || b >= rank)
    user_error("cannot swap dimensions {} and {} of shape {}", a, b, shape().str());
  Array view = *this;
  std::swap(view.layout_.shape[a], view.layout_.shape[b]);
  std::swap(view.layout_.strides[a], view.layout_.strides[b]);
  return view;
}

Array Array::reshape(const Shape& to) const {
  if (to.elements() != elements() || !layout_.is_contiguous())
    user_error("cannot view shape {} as {}", shape().str(), to.str());
  return Array(buffer_, byte_offset_, dtype_, Layout::contiguous(to));
}

}  // namespace weft
