#include "weft/kernels/random.h"

#include <cmath>

#include "weft/base/random.h"

namespace weft::kernels::ref {
namespace {

float uniform(uint64_t key, uint64_t step, int64_t element) {
  return uniform_float(Philox{key}(uint64_t(element) / 4, step)[size_t(element) % 4]);
}

}  // namespace

void random_uniform(const RandomUniform& p) {
  for (int64_t i = 0; i < p.n; ++i) p.out[i] = uniform(p.key, p.step, p.first + i);
}

void random_normal(const RandomNormal& p) {
  constexpr double two_pi = 6.283185307179586;
  for (int64_t i = 0; i < p.n; ++i) {
    const int64_t even = (p.first + i) & ~int64_t{1};
    const double radius = std::sqrt(-2 * std::log(1 - double(uniform(p.key, p.step, even))));
    const double angle = two_pi * double(uniform(p.key, p.step, even + 1));
    p.out[i] = float(radius * ((p.first + i) % 2 == 0 ? std::cos(angle) : std::sin(angle)));
  }
}

}  // namespace weft::kernels::ref
