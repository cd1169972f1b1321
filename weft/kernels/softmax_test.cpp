#include "weft/kernels/softmax.h"

#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

using namespace testing;

template <class T>
struct Case {
  int64_t rows, width;
  std::vector<T> x, y, dy, dx;

  Case(int64_t r, int64_t w)
      : rows(r), width(w), x(normal<T>(r * w, 1, 3)), y(x), dy(normal<T>(r * w, 2)), dx(x) {}
  SoftmaxForward forward() { return {rows, width, dtype_of<T>::value, x.data(), y.data()}; }
  SoftmaxBackward backward() {
    return {rows, width, dtype_of<T>::value, dy.data(), y.data(), dx.data()};
  }
  void run(CpuStream& stream) {
    cpu::softmax_forward(stream, forward());
    cpu::softmax_backward(stream, backward());
  }
};

// Bounds: y half an ulp and 1e-6 relative from exp (3 ulp), the sum and its reciprocal; dx, from
// the same rounded y, half an ulp and 1e-6 of the largest |dy| y, which is below 4.
template <class T>
void compare_with_f64(int64_t rows, int64_t width) {
  const auto cpus = all_cpus();
  Case<T> first(rows, width), rounded(rows, width);
  Case<double> want(rows, width);
  want.x = widened(first.x), want.dy = widened(first.dy);
  ref::softmax_forward<double>(want.forward());
  ref::softmax_forward<T>(rounded.forward());
  first.run(cpus[0]->stream());
  const double relative = half_ulp<T>() + 2e-6;
  expect_near(first.y, want.y, relative, 1e-37, "y");
  expect_near(rounded.y, want.y, half_ulp<T>(), 1e-37, "ref y");
  want.y = widened(first.y), rounded.y = first.y;
  ref::softmax_backward<double>(want.backward());
  ref::softmax_backward<T>(rounded.backward());
  expect_near(first.dx, want.dx, relative, 4e-6, "dx");
  expect_near(rounded.dx, want.dx, half_ulp<T>(), 1e-37, "ref dx");
  for (const auto& cpu : cpus) {
    Case<T> c(rows, width);
    c.run(cpu->stream());
    EXPECT_TRUE(same_bits(c.y, first.y) && same_bits(c.dx, first.dx)) << cpu->description();
  }
}

TEST(Softmax, AgreesWithF64AndAcrossMachines) {
  for (const int64_t width : {1, 7, 16, 33, 128, 768, 1000})
    for (const int64_t rows : {1, 5}) {
      compare_with_f64<float>(rows, width);
      compare_with_f64<bf16>(rows, width);
    }
}

TEST(Softmax, RowAloneIsTheRowInABatchAndInPlaceTheSame) {
  CpuDevice cpu(2);
  Case<bf16> all(9, 70), one(1, 70);
  all.run(cpu.stream());
  one.x.assign(all.x.begin() + 5 * 70, all.x.begin() + 6 * 70);
  one.dy.assign(all.dy.begin() + 5 * 70, all.dy.begin() + 6 * 70);
  one.run(cpu.stream());
  EXPECT_TRUE(same_bits(one.y, std::vector<bf16>(all.y.begin() + 5 * 70, all.y.begin() + 6 * 70)));
  EXPECT_TRUE(
      same_bits(one.dx, std::vector<bf16>(all.dx.begin() + 5 * 70, all.dx.begin() + 6 * 70)));
  SoftmaxForward in_place = one.forward();
  in_place.y = one.x.data();
  cpu::softmax_forward(cpu.stream(), in_place);
  EXPECT_TRUE(same_bits(one.x, one.y));
}

TEST(Softmax, SpecialValues) {
  for (const auto& cpu : all_cpus()) {
    Case<float> c(5, 19);
    c.x[1 * 19 + 3] = std::nanf(""), c.x[2 * 19 + 18] = INFINITY;
    for (size_t i = 3 * 19; i < 4 * 19; ++i) c.x[i] = -INFINITY;
    for (size_t i = 4 * 19; i < 5 * 19; ++i) c.x[i] = i == 4 * 19 + 17 ? 3e38f : -INFINITY;
    cpu::softmax_forward(cpu->stream(), c.forward());
    for (size_t i = 0; i < 5 * 19; ++i)
      EXPECT_EQ(std::isnan(c.y[i]), i / 19 >= 1 && i / 19 <= 3) << i;
    for (size_t i = 4 * 19; i < 5 * 19; ++i) EXPECT_EQ(c.y[i], i == 4 * 19 + 17 ? 1.0f : 0.0f);
  }
}

TEST(Softmax, GradientIsTheDifferenceQuotient) {
  Case<double> c(3, 7);
  const auto loss = [&] {
    ref::softmax_forward<double>(c.forward());
    return dot(c.y, c.dy);
  };
  loss();
  ref::softmax_backward<double>(c.backward());
  EXPECT_LT(relative_distance(c.dx, differences(c.x, loss)), 1e-6);
}

}  // namespace
}  // namespace weft::kernels
