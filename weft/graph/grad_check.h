// Gradients against central differences of f64 functions, along random directions. Used by the
// tests of every op and of whole models.
#pragma once
#include <cmath>
#include <functional>

#include "weft/base/random.h"
#include "weft/graph/jit.h"

namespace weft {

// Random f64 values in [low, high), a function of the seed.
inline Tensor random_f64(const Shape& shape, uint64_t seed, double low = -1, double high = 1) {
  std::vector<double> values(size_t(shape.elements()));
  const Philox random{random_key(seed, hash_path("grad_check"))};
  for (size_t i = 0; i < values.size(); ++i) {
    const auto words = random(i);
    values[i] = low + (high - low) * uniform_double(words[0], words[1]);
  }
  return Tensor(Array::from<double>(default_device(), shape, values));
}

struct GradCheck {
  double relative_error =
      0;  // |analytic - numeric| / max(|analytic|, |numeric|) over all directions, norm-wise
  double analytic = 0, numeric = 0;
};

// f maps f64 tensors to a scalar. Fourth-order central differences along `directions` random
// directions.
inline GradCheck check_gradient(const std::function<Tensor(const Tensors&)>& f, const Tensors& x,
                                int directions = 4, double step = 1e-3) {
  auto gradient = jit([&](Tensors in) { return gradients(f(in), in); });
  auto value = jit([&](Tensors in) { return f(in); });
  Tensors g = gradient(x);
  double difference = 0, scale = 0;
  GradCheck result;
  for (int k = 0; k < directions; ++k) {
    Tensors direction;
    for (size_t i = 0; i < x.size(); ++i)
      direction.push_back(random_f64(x[i].value().shape(), uint64_t(1000 * k) + i + 77));
    const auto at = [&](double t) {
      Tensors moved;
      for (size_t i = 0; i < x.size(); ++i) moved.push_back(x[i] + direction[i] * t);
      return value(moved).item();
    };
    const double numeric =
        (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
    double analytic = 0;
    for (size_t i = 0; i < x.size(); ++i) analytic += sum(g[i] * direction[i]).item();
    difference += (analytic - numeric) * (analytic - numeric);
    scale += std::max(analytic * analytic, numeric * numeric);
    result.analytic = analytic, result.numeric = numeric;
  }
  result.relative_error = scale > 0 ? std::sqrt(difference / scale) : 0;
  return result;
}

}  // namespace weft
