#include "weft/tensor/array.h"

#include <gtest/gtest.h>
#include <numeric>
#include <rapidcheck/gtest.h>

#include "tests/expect_error.h"
#include "weft/device/device.h"

namespace weft {
namespace {

int64_t any_up_to(int64_t most) {
  return *rc::gen::inRange<int64_t>(0, most + 1);
}

Array counting(Device& device, const Shape& shape) {
  std::vector<int32_t> values(size_t(shape.elements()));
  std::iota(values.begin(), values.end(), 0);
  return Array::from<int32_t>(device, shape, values);
}

// The elements of a view in row-major order, by its strides.
std::vector<int32_t> elements_of(const Array& a) {
  std::vector<int32_t> out;
  const Layout& l = a.layout();
  for (int64_t i = 0; i < a.elements(); ++i) {
    int64_t left = i, at = 0;
    for (int d = l.shape.rank() - 1; d >= 0; --d) {
      at += left % l.shape[d] * l.strides[d];
      left /= l.shape[d];
    }
    out.push_back(a.data_as<int32_t>()[at]);
  }
  return out;
}

// The same view of the same values, made by copying them: `index_in_source` says where in the
// source the element at each index comes from.
template <class F>
std::vector<int32_t> copied(const std::vector<int32_t>& source, const Shape& from, const Shape& to,
                            F&& index_in_source) {
  const Layout layout = Layout::contiguous(from);
  std::vector<int32_t> out;
  for (int64_t i = 0; i < to.elements(); ++i) {
    Shape index = to;
    int64_t left = i, at = 0;
    for (int d = to.rank() - 1; d >= 0; --d) index[d] = left % to[d], left /= to[d];
    const Shape source_index = index_in_source(index);
    for (int d = 0; d < from.rank(); ++d) at += source_index[d] * layout.strides[d];
    out.push_back(source[size_t(at)]);
  }
  return out;
}

RC_GTEST_PROP(Array, ViewsOfViewsAreWhatCopiesWouldBe, ()) {
  CpuDevice device(1);
  Shape shape = Shape{1, 1, 1, 1};
  for (int d = 0; d < 4; ++d) shape[d] = 1 + any_up_to(4);
  Array view = counting(device, shape);
  std::vector<int32_t> values = elements_of(view);
  for (int n = *rc::gen::inRange(0, 6); n > 0; --n) {
    const Shape before = view.shape();
    const int a = int(any_up_to(3)), b = int(any_up_to(3));
    if (*rc::gen::arbitrary<bool>()) {
      view = view.transpose(a, b);
      values = copied(values, before, view.shape(), [&](Shape i) {
        std::swap(i[a], i[b]);
        return i;
      });
    } else {
      const int64_t begin = any_up_to(before[a]), end = begin + any_up_to(before[a] - begin);
      view = view.slice(a, begin, end);
      values = copied(values, before, view.shape(), [&](Shape i) {
        i[a] += begin;
        return i;
      });
    }
    RC_ASSERT(elements_of(view) == values);
  }
  if (view.layout().is_contiguous()) {
    RC_ASSERT(view.to_vector<int32_t>() == values);
    RC_ASSERT(view.reshape({view.elements()}).to_vector<int32_t>() == values);
  }
}

TEST(Array, RefusesViewsThatCannotBe) {
  CpuDevice device(1);
  const Array a = counting(device, {2, 3});
  EXPECT_ERROR(user, "slice [1, 4) of dimension 1 does not lie in shape [2, 3]", a.slice(1, 1, 4));
  EXPECT_ERROR(user, "slice [2, 1)", a.slice(1, 2, 1));
  EXPECT_ERROR(user, "slice [0, 1) of dimension 2", a.slice(2, 0, 1));
  EXPECT_ERROR(user, "cannot swap dimensions 0 and 2 of shape [2, 3]", a.transpose(0, 2));
  EXPECT_ERROR(user, "cannot view shape [2, 3] as [7]", a.reshape({7}));
  EXPECT_ERROR(user, "cannot view shape [3, 2] as [6]", a.transpose(0, 1).reshape({6}));
  EXPECT_ERROR(user, "an array of shape [2] needs 2 values, got 1",
               Array::from<float>(device, {2}, std::vector<float>{1}));
}

}  // namespace
}  // namespace weft
