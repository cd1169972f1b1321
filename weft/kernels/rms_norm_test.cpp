#include "weft/kernels/rms_norm.h"

#include <limits>

#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

using namespace testing;

// Inputs and results of one forward and backward pass.
template <class T, class S>
struct Case {
  int64_t rows, width;
  bool affine = true, residual = true;
  std::vector<T> x, gamma, dy, residual_grad;
  std::vector<T> y, dx;
  std::vector<S> rstd, dgamma;
  std::vector<float> scratch;

  Case(int64_t r, int64_t w) : rows(r), width(w) {
    x = normal<T>(r * w, 1, 2, 0.5), dy = normal<T>(r * w, 2), residual_grad = normal<T>(r * w, 3);
    gamma = normal<T>(w, 4, 0.3, 1);
    resize();
  }
  template <class U, class V>
  explicit Case(const Case<U, V>& c)
      : rows(c.rows), width(c.width), affine(c.affine), residual(c.residual) {
    x = widened(c.x), dy = widened(c.dy), residual_grad = widened(c.residual_grad);
    gamma = widened(c.gamma);
    resize();
  }
  void resize() {
    y.resize(x.size()), dx.resize(x.size());
    rstd.resize(size_t(rows));
    dgamma.resize(size_t(width));
    scratch.resize(size_t(rms_norm_backward_scratch_bytes(rows, width)) / 4);
  }
  RmsNormForward forward() {
    RmsNormForward p;
    p.rows = rows, p.width = width, p.dtype = dtype_of<T>::value, p.x = x.data(), p.y = y.data();
    if (affine) p.gamma = gamma.data();
    p.rstd = rstd.data();
    return p;
  }
  RmsNormBackward backward() {
    RmsNormBackward p;
    p.rows = rows, p.width = width, p.dtype = dtype_of<T>::value, p.x = x.data(), p.dy = dy.data();
    if (affine) p.gamma = gamma.data(), p.dgamma = dgamma.data();
    if (residual) p.residual_grad = residual_grad.data();
    p.rstd = rstd.data(), p.dx = dx.data(), p.scratch = scratch.data();
    return p;
  }
  void run(CpuStream& stream) {
    cpu::rms_norm_forward(stream, forward());
    cpu::rms_norm_backward(stream, backward());
  }
  void run_ref() {
    ref::rms_norm_forward<T>(forward());
    ref::rms_norm_backward<T>(backward());
  }
  template <class C>
  bool same(const C& c) const {
    return same_bits(y, c.y) && same_bits(dx, c.dx) && same_bits(rstd, c.rstd) &&
           same_bits(dgamma, c.dgamma);
  }
};

// Bounds: y within half an ulp of its type and 1e-6 of what the row's f32 sums may add; dx the same
// plus, when a residual is added after rounding, half an ulp of the parts; column sums 2e-6 of the
// sum of their magnitudes.
template <class T>
void compare_with_f64(int64_t rows, int64_t width, bool affine, bool residual) {
  const auto cpus = all_cpus();
  Case<T, float> first(rows, width);
  first.affine = affine, first.residual = residual;
  Case<double, double> want(first);
  want.run_ref();
  Case<T, float> rounded = first;
  rounded.run_ref();
  const std::string what = format("{} [{}, {}]", dtype_name(dtype_of<T>::value), rows, width);
  const double ulp = half_ulp<T>();
  for (size_t i = 0; i < cpus.size(); ++i) {
    Case<T, float> c(rows, width);
    c.affine = affine, c.residual = residual;
    c.run(cpus[i]->stream());
    if (i == 0) first = c;
    EXPECT_TRUE(c.same(first)) << what << " on " << cpus[i]->description();
  }
  for (const Case<T, float>& c : {first, rounded}) {
    expect_near(c.y, want.y, ulp, 4e-6, what + " y");
    expect_near(c.dx, want.dx, ulp, residual ? 16 * ulp + 4e-6 : 4e-6, what + " dx");
    expect_near(c.rstd, want.rstd, 2e-6, 0, what + " rstd");
    expect_near(c.dgamma, want.dgamma, 0, 4e-6 * double(rows), what + " dgamma");
  }
}

TEST(RmsNorm, AgreesWithF64AndAcrossMachines) {
  for (const int64_t width : {1, 7, 16, 33, 128, 768, 1000})
    for (const int64_t rows : {1, 5, 130}) {
      compare_with_f64<float>(rows, width, true, true);
      compare_with_f64<bf16>(rows, width, true, true);
    }
  compare_with_f64<float>(70, 50, false, false);
  compare_with_f64<bf16>(70, 50, false, false);
}

template <class T>
void compare_rows_alone(CpuStream& stream) {
  constexpr int64_t rows = 70, width = 100;
  Case<T, float> all(rows, width);
  all.run(stream);
  for (const int64_t r : {0, 3, 64, 69}) {
    Case<T, float> one(1, width);
    const auto row = [&](const std::vector<T>& v) {
      return std::vector<T>(v.begin() + r * width, v.begin() + (r + 1) * width);
    };
    one.x = row(all.x), one.dy = row(all.dy), one.residual_grad = row(all.residual_grad);
    one.run(stream);
    EXPECT_TRUE(same_bits(one.y, row(all.y))) << r;
    EXPECT_TRUE(same_bits(one.dx, row(all.dx))) << r;
  }
}

TEST(RmsNorm, RowAloneIsTheRowInABatch) {
  for (const auto& cpu : all_cpus()) {
    compare_rows_alone<float>(cpu->stream());
    compare_rows_alone<bf16>(cpu->stream());
  }
}

TEST(RmsNorm, InPlaceGivesTheSame) {
  CpuDevice cpu(1);
  Case<bf16, float> apart(9, 45), in_place(9, 45);
  apart.run(cpu.stream());
  RmsNormForward forward = in_place.forward();
  forward.y = in_place.x.data();
  cpu::rms_norm_forward(cpu.stream(), forward);
  EXPECT_TRUE(same_bits(in_place.x, apart.y));
  in_place.x = apart.x;
  RmsNormBackward backward = in_place.backward();
  backward.dx = in_place.residual_grad.data();
  cpu::rms_norm_backward(cpu.stream(), backward);
  EXPECT_TRUE(same_bits(in_place.residual_grad, apart.dx));
}

TEST(RmsNorm, NotANumberStaysInItsRow) {
  for (const auto& cpu : all_cpus())
    for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
      Case<float, float> c(6, 37);
      c.x[2 * 37 + 36] = bad;
      c.run(cpu->stream());
      // An infinite element makes rstd 0, so that only itself is not a number in y.
      for (int64_t i = 0; i < 6 * 37; ++i)
        EXPECT_EQ(std::isnan(c.y[size_t(i)]), std::isnan(bad) ? i / 37 == 2 : i == 2 * 37 + 36)
            << i;
      for (int64_t i = 0; i < 6 * 37; ++i) EXPECT_EQ(std::isnan(c.dx[size_t(i)]), i / 37 == 2) << i;
      EXPECT_TRUE(std::isnan(c.dgamma[36]));
    }
}

TEST(RmsNorm, GradientIsTheDifferenceQuotient) {
  Case<double, double> c(4, 9);
  c.residual = false;
  const auto loss = [&] {
    ref::rms_norm_forward<double>(c.forward());
    return dot(c.y, c.dy);
  };
  c.run_ref();
  EXPECT_LT(relative_distance(c.dx, differences(c.x, loss)), 1e-6);
  EXPECT_LT(relative_distance(c.dgamma, differences(c.gamma, loss)), 1e-6);
}

}  // namespace
}  // namespace weft::kernels
