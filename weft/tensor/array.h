// Shapes, layouts, and arrays: computed bytes with a type and a shape. What files, kernels and
// checkpoints exchange.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "weft/base/error.h"
#include "weft/device/device.h"
#include "weft/tensor/dtype.h"

namespace weft {

constexpr int max_rank = 8;

// Up to max_rank dimensions, each >= 0. A value type without allocation.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims)
      : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[i < 0 ? i + rank_ : i]; }
  int64_t& operator[](int i) { return dims_[i < 0 ? i + rank_ : i]; }
  int64_t elements() const;
  std::span<const int64_t> dims() const { return {dims_, size_t(rank_)}; }
  bool operator==(const Shape& other) const;
  std::string str() const;  // "[2, 3]"

 private:
  int64_t dims_[max_rank] = {};
  int rank_ = 0;
};

// Element strides beside a shape. Contiguous: the last dimension has stride 1.
struct Layout {
  Shape shape, strides;
  static Layout contiguous(const Shape& shape);
  bool is_contiguous() const;
};

// A view of bytes on a device: shares its buffer, never copies. Views made by slice, transpose and
// reshape alias.
class Array {
 public:
  Array() = default;
  // Uninitialised.
  Array(Device& device, DType dtype, const Shape& shape);
  Array(BufferPtr buffer, size_t byte_offset, DType dtype, Layout layout);
  // Copies host values in; T must be dtype's C++ type.
  template <class T>
  static Array from(Device& device, const Shape& shape, std::span<const T> values) {
    Array a(device, dtype_of<T>::value, shape);
    if (int64_t(values.size()) != shape.elements())
      user_error("an array of shape {} needs {} values, got {}", shape.str(), shape.elements(),
                 values.size());
    device.copy_from_host(a.data(), reinterpret_cast<const std::byte*>(values.data()),
                          values.size_bytes());
    return a;
  }

  explicit operator bool() const { return buffer_ != nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return layout_.shape; }
  const Layout& layout() const { return layout_; }
  int64_t elements() const { return layout_.shape.elements(); }
  size_t bytes() const { return size_t(elements()) * dtype_size(dtype_); }
  Device& device() const { return buffer_->device(); }
  const BufferPtr& buffer() const { return buffer_; }
  std::byte* data() const { return buffer_->data() + byte_offset_; }
  template <class T>
  T* data_as() const {
    WEFT_CHECK(dtype_ == dtype_of<T>::value, "dtype {}", dtype_name(dtype_));
    return reinterpret_cast<T*>(data());
  }

  // Views. Errors of kind user name the shape and the request.
  Array slice(int dim, int64_t begin, int64_t end) const;
  Array transpose(int a, int b) const;
  Array reshape(const Shape& shape) const;  // contiguous arrays only

  // Host copy of a contiguous array's values, converted to T for float and integer types.
  template <class T>
  std::vector<T> to_vector() const {
    WEFT_CHECK(layout_.is_contiguous(), "shape {}", shape().str());
    std::vector<std::byte> raw(bytes());
    device().copy_to_host(raw.data(), data(), raw.size());
    std::vector<T> out(static_cast<size_t>(elements()));
    visit_dtype(dtype_, [&](auto zero) {
      using S = decltype(zero);
      const S* from = reinterpret_cast<const S*>(raw.data());
      for (size_t i = 0; i < out.size(); ++i) {
        if constexpr (std::is_same_v<S, bf16> || std::is_same_v<S, f16>)
          out[i] = static_cast<T>(float(from[i]));
        else
          out[i] = static_cast<T>(from[i]);
      }
    });
    return out;
  }

 private:
  BufferPtr buffer_;
  size_t byte_offset_ = 0;
  DType dtype_ = DType::f32;
  Layout layout_;
};

}  // namespace weft
