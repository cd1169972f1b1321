#include "weft/kernels/rope.h"

#include <cmath>
#include <vector>

#include "weft/kernels/ref/rows.h"

namespace weft::kernels {

void rope_tables(int64_t positions, std::span<const double> frequencies, float* cos, float* sin) {
  for (int64_t t = 0; t < positions; ++t)
    for (const double frequency : frequencies) {
      *cos++ = float(std::cos(double(t) * frequency));
      *sin++ = float(std::sin(double(t) * frequency));
    }
}

void rope_tables(int64_t positions, int64_t rotary, double theta, float* cos, float* sin) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < rotary / 2; ++i)
    frequencies.push_back(std::pow(theta, -2 * double(i) / double(rotary)));
  rope_tables(positions, frequencies, cos, sin);
}

namespace ref {

template <class T>
void rope(const Rope& p) {
  const int64_t pairs = p.rotary / 2;
  for (int64_t t = 0; t < p.tokens; ++t)
    for (int64_t h = 0; h < p.heads; ++h) {
      const T* x = static_cast<const T*>(p.x) + t * p.x_row_stride + h * p.head_dim;
      T* y = static_cast<T*>(p.y) + t * p.y_row_stride + h * p.head_dim;
      for (int64_t i = 0; i < pairs; ++i) {
        const int64_t first = p.convention == Rope::half ? i : 2 * i;
        const int64_t second = p.convention == Rope::half ? i + pairs : 2 * i + 1;
        const double c = double(p.cos[p.positions[t] * pairs + i]);
        const double s = double(p.sin[p.positions[t] * pairs + i]) * (p.inverse ? -1 : 1);
        const double a = wide(x[first]), b = wide(x[second]);
        y[first] = narrow<T>(a * c - b * s), y[second] = narrow<T>(b * c + a * s);
      }
      for (int64_t i = p.rotary; i < p.head_dim; ++i) y[i] = x[i];
    }
}

template void rope<double>(const Rope&);
template void rope<float>(const Rope&);
template void rope<bf16>(const Rope&);

}  // namespace ref
}  // namespace weft::kernels
