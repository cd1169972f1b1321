#include "weft/train/muon.h"

#include <cmath>
#include <gtest/gtest.h>

#include "weft/graph/grad_check.h"
#include "weft/train/train_testing.h"

namespace weft::train {
namespace {

// A matrix in f64 on the host.
struct Matrix {
  int64_t rows, columns;
  std::vector<double> values;
  double& at(int64_t i, int64_t j) { return values[size_t(i * columns + j)]; }
  double at(int64_t i, int64_t j) const { return values[size_t(i * columns + j)]; }
};
Matrix made(int64_t rows, int64_t columns) {
  return {rows, columns, std::vector<double>(size_t(rows * columns))};
}
Matrix random_matrix(int64_t rows, int64_t columns, uint64_t seed) {
  return {rows, columns, random_f64({rows, columns}, seed).to_vector<double>()};
}
Matrix transposed(const Matrix& x) {
  Matrix y = made(x.columns, x.rows);
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.columns; ++j) y.at(j, i) = x.at(i, j);
  return y;
}
Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c = made(a.rows, b.columns);
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < b.columns; ++j)
      for (int64_t k = 0; k < a.columns; ++k) c.at(i, j) += a.at(i, k) * b.at(k, j);
  return c;
}
Matrix sum(const Matrix& a, double fa, const Matrix& b, double fb) {
  Matrix c = a;
  for (size_t i = 0; i < c.values.size(); ++i) c.values[i] = fa * a.values[i] + fb * b.values[i];
  return c;
}

Matrix reference(const Matrix& x) {
  if (x.rows > x.columns) return transposed(reference(transposed(x)));
  double square = 0;
  for (const double v : x.values) square += v * v;
  Matrix y = sum(x, 1 / (std::sqrt(square) + 1e-7), x, 0);
  for (int step = 0; step < 5; ++step) {
    const Matrix a = product(y, transposed(y));
    y = sum(y, 3.4445, product(sum(a, -4.7750, product(a, a), 2.0315), y), 1);
  }
  return y;
}

Tensor tensor(const Matrix& x) {
  return cast(Tensor(Array::from<double>(default_device(), {x.rows, x.columns}, x.values)),
              DType::f32);
}
Tensor floats(const Shape& shape, const std::vector<float>& values) {
  return Tensor(Array::from<float>(default_device(), shape, values));
}
double largest_difference(const Tensor& got, const Matrix& want) {
  const std::vector<double> values = got.to_vector<double>();
  double most = 0;
  for (size_t i = 0; i < values.size(); ++i)
    most = std::max(most, std::abs(values[i] - want.values[i]));
  return most;
}

TEST(Muon, OrthogonalizesAsInF64) {
  for (const auto& [rows, columns] : {std::pair{6, 10}, {10, 6}, {7, 7}, {1, 5}, {40, 24}}) {
    const Matrix x = random_matrix(rows, columns, 1);
    const Matrix want = reference(x);
    for (const double scale : {1e-12, 1.0, 1e4}) {
      const Tensor given = tensor(sum(x, scale, x, 0));
      EXPECT_LT(largest_difference(orthogonalized(given, DType::f32), want), 2e-4)
          << rows << " " << columns << " " << scale;
      if (scale == 1.0) {
        EXPECT_LT(largest_difference(orthogonalized(given, DType::bf16), want), 0.1);
      }
    }
  }
}

// The singular values of a well-conditioned matrix come to between 0.7 and 1.2: those of x x^T lie
// around one.
TEST(Muon, RowsBecomeNearlyOrthonormal) {
  const Tensor x = tensor(random_matrix(8, 64, 2));
  Matrix y = made(8, 64);
  y.values = orthogonalized(x, DType::bf16).to_vector<double>();
  const Matrix square = product(y, transposed(y));
  for (int64_t i = 0; i < 8; ++i)
    for (int64_t j = 0; j < 8; ++j)
      EXPECT_NEAR(square.at(i, j), i == j ? 1 : 0, i == j ? 0.5 : 0.4) << i << " " << j;
}

TEST(Muon, StepIsTheFormula) {
  const Matrix w = random_matrix(12, 6, 1), m = random_matrix(12, 6, 2),
               g = random_matrix(12, 6, 3);
  const double lr = 0.01, decay = 0.3, scale = 0.5, momentum = 0.9;
  const MuonState next = muon({tensor(w), tensor(m)}, tensor(g), floats({4}, {0.01f, 9, 9, 9}),
                              floats({}, {0.5f}), {momentum, decay, DType::f32, 2});
  const Matrix moved = sum(m, momentum, g, (1 - momentum) * scale);
  const Matrix u = sum(moved, momentum, g, (1 - momentum) * scale);
  EXPECT_LT(largest_difference(next.m, moved), 1e-6);
  Matrix want = sum(w, 1 - lr * decay, w, 0);
  for (const int64_t half : {0, 1}) {
    Matrix part = made(6, 6);
    for (int64_t i = 0; i < 36; ++i) part.values[size_t(i)] = u.values[size_t(36 * half + i)];
    const Matrix direction = reference(part);
    for (int64_t i = 0; i < 36; ++i)
      want.values[size_t(36 * half + i)] -= lr * 0.2 * std::sqrt(6) * direction.values[size_t(i)];
  }
  EXPECT_LT(largest_difference(next.param, want), 1e-5);
}

TEST(Muon, IsForMatricesInsideBlocks) {
  TrainConfig config;
  EXPECT_FALSE(is_for_muon(config, "blocks.0.mlp.up.weight", {4, 4}));
  config.optimizer = "muon";
  EXPECT_TRUE(is_for_muon(config, "blocks.0.mlp.up.weight", {4, 4}));
  EXPECT_FALSE(is_for_muon(config, "blocks.0.norm1.weight", {4}));
  EXPECT_FALSE(is_for_muon(config, "tokens.weight", {4, 4}));
  EXPECT_FALSE(is_for_muon(config, "head.weight", {4, 4}));
}

}  // namespace
}  // namespace weft::train
