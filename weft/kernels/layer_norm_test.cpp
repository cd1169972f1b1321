#include "weft/kernels/layer_norm.h"

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
  std::vector<T> x, gamma, beta, dy, residual_grad;
  std::vector<T> y, dx;
  std::vector<S> mean, rstd, dgamma, dbeta;
  std::vector<float> scratch;

  Case(int64_t r, int64_t w) : rows(r), width(w) {
    x = normal<T>(r * w, 1, 2, 0.5), dy = normal<T>(r * w, 2), residual_grad = normal<T>(r * w, 3);
    gamma = normal<T>(w, 4, 0.3, 1), beta = normal<T>(w, 5);
    resize();
  }
  template <class U, class V>
  explicit Case(const Case<U, V>& c)
      : rows(c.rows), width(c.width), affine(c.affine), residual(c.residual) {
    x = widened(c.x), dy = widened(c.dy), residual_grad = widened(c.residual_grad);
    gamma = widened(c.gamma), beta = widened(c.beta);
    resize();
  }
  void resize() {
    y.resize(x.size()), dx.resize(x.size());
    mean.resize(size_t(rows)), rstd.resize(size_t(rows));
    dgamma.resize(size_t(width)), dbeta.resize(size_t(width));
    scratch.resize(size_t(layer_norm_backward_scratch_bytes(rows, width)) / 4);
  }
  LayerNormForward forward() {
    LayerNormForward p;
    p.rows = rows, p.width = width, p.dtype = dtype_of<T>::value, p.x = x.data(), p.y = y.data();
    if (affine) p.gamma = gamma.data(), p.beta = beta.data();
    p.mean = mean.data(), p.rstd = rstd.data();
    return p;
  }
  LayerNormBackward backward() {
    LayerNormBackward p;
    p.rows = rows, p.width = width, p.dtype = dtype_of<T>::value, p.x = x.data(), p.dy = dy.data();
    if (affine) p.gamma = gamma.data(), p.dgamma = dgamma.data(), p.dbeta = dbeta.data();
    if (residual) p.residual_grad = residual_grad.data();
    p.mean = mean.data(), p.rstd = rstd.data(), p.dx = dx.data(), p.scratch = scratch.data();
    return p;
  }
  void run(CpuStream& stream) {
    cpu::layer_norm_forward(stream, forward());
    cpu::layer_norm_backward(stream, backward());
  }
  void run_ref() {
    ref::layer_norm_forward<T>(forward());
    ref::layer_norm_backward<T>(backward());
  }
  template <class C>
  bool same(const C& c) const {
    return same_bits(y, c.y) && same_bits(dx, c.dx) && same_bits(mean, c.mean) &&
           same_bits(rstd, c.rstd) && same_bits(dgamma, c.dgamma) && same_bits(dbeta, c.dbeta);
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
    expect_near(c.mean, want.mean, 1e-6, 1e-6, what + " mean");
    expect_near(c.rstd, want.rstd, 2e-6, 0, what + " rstd");
    expect_near(c.dgamma, want.dgamma, 0, 4e-6 * double(rows), what + " dgamma");
    expect_near(c.dbeta, want.dbeta, 0, 2e-6 * double(rows), what + " dbeta");
  }
}

TEST(LayerNorm, AgreesWithF64AndAcrossMachines) {
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

TEST(LayerNorm, RowAloneIsTheRowInABatch) {
  for (const auto& cpu : all_cpus()) {
    compare_rows_alone<float>(cpu->stream());
    compare_rows_alone<bf16>(cpu->stream());
  }
}

TEST(LayerNorm, InPlaceGivesTheSame) {
  CpuDevice cpu(1);
  Case<bf16, float> apart(9, 45), in_place(9, 45);
  apart.run(cpu.stream());
  LayerNormForward forward = in_place.forward();
  forward.y = in_place.x.data();
  cpu::layer_norm_forward(cpu.stream(), forward);
  EXPECT_TRUE(same_bits(in_place.x, apart.y));
  in_place.x = apart.x;
  LayerNormBackward backward = in_place.backward();
  backward.dx = in_place.residual_grad.data();
  cpu::layer_norm_backward(cpu.stream(), backward);
  EXPECT_TRUE(same_bits(in_place.residual_grad, apart.dx));
}

TEST(LayerNorm, NotANumberStaysInItsRow) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& cpu : all_cpus())
    for (const float bad : {std::nanf(""), infinity, -infinity}) {
      Case<float, float> c(6, 37);
      c.x[2 * 37 + 36] = bad;
      c.run(cpu->stream());
      for (int64_t i = 0; i < 6 * 37; ++i) EXPECT_EQ(std::isnan(c.y[size_t(i)]), i / 37 == 2) << i;
      for (int64_t i = 0; i < 6 * 37; ++i) EXPECT_EQ(std::isnan(c.dx[size_t(i)]), i / 37 == 2) << i;
      for (const float v : c.dgamma) EXPECT_TRUE(std::isnan(v));
    }
}

TEST(LayerNorm, GradientIsTheDifferenceQuotient) {
  Case<double, double> c(4, 9);
  c.residual = false;
  const auto loss = [&] {
    ref::layer_norm_forward<double>(c.forward());
    return dot(c.y, c.dy);
  };
  c.run_ref();
  EXPECT_LT(relative_distance(c.dx, differences(c.x, loss)), 1e-6);
  EXPECT_LT(relative_distance(c.dgamma, differences(c.gamma, loss)), 1e-6);
  EXPECT_LT(relative_distance(c.dbeta, differences(c.beta, loss)), 1e-6);
}

}  // namespace
}  // namespace weft::kernels
