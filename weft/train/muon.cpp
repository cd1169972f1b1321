#include "weft/train/muon.h"

#include <algorithm>
#include <cmath>

namespace weft::train {
namespace {

Tensor times_scalar(const Tensor& x, const Tensor& scalar) {
  return x * broadcast_to(scalar, x.dims());
}

// 1 / (the root of the sum of squares), a f32 scalar; of zeros a finite one.
Tensor inverse_norm(const Tensor& x) {
  return reshape(cast(1.0 / (sqrt(norm_square(x)) + 1e-30), DType::f32), {});
}

}  // namespace

bool is_for_muon(const TrainConfig& config, const std::string& path, const Dims& dims) {
  return config.optimizer == "muon" && dims.rank() == 2 && path.starts_with("blocks.");
}

Tensor orthogonalized(const Tensor& x, DType dtype) {
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  // The square matrix of the products is that of the shorter side.
  const bool wide = x.dim(0).constant() <= x.dim(1).constant();
  Tensor y = cast(times_scalar(x, inverse_norm(x)), dtype);
  for (int step = 0; step < 5; ++step) {
    const Tensor square = matmul(y, y, wide ? "ik,jk->ij" : "ki,kj->ij");
    const Tensor mixed = square * b + matmul(square, square, "ij,jk->ik") * c;
    y = y * a + (wide ? matmul(mixed, y, "ij,jk->ik") : matmul(y, mixed, "ij,jk->ik"));
  }
  return cast(y, DType::f32);
}

MuonState muon(const MuonState& state, const Tensor& grad, const Tensor& hyper, const Tensor& scale,
               const MuonOptions& o) {
  const Tensor lr = reshape(slice(hyper, 0, 0, 1), {});
  const Tensor g = times_scalar(grad, scale) * (1 - o.momentum);
  MuonState next;
  next.m = state.m * o.momentum + g;
  const Tensor u = next.m * o.momentum + g;
  const int64_t rows = u.dim(0).constant() / o.parts, columns = u.dim(1).constant();
  Tensors directions;
  for (const Tensor& part : split(u, 0, o.parts))
    directions.push_back(orthogonalized(part, o.dtype));
  const double size = 0.2 * std::sqrt(double(std::max(rows, columns)));
  next.param = times_scalar(state.param, 1.0 - lr * o.weight_decay) -
               times_scalar(concat(directions, 0), lr * size);
  next.copy = cast(next.param, DType::bf16);
  return next;
}

}  // namespace weft::train
