// Random numbers as a function of a key, a step and the global index of an element
// (weft/base/random.h), so that they do not depend on how a tensor is cut or computed.
#pragma once
#include <cstdint>

#include "weft/kernels/kernel.h"

namespace weft::kernels {

// With w(e) = Philox{key}(e / 4, step)[e % 4] for the global index e: out[i] =
// uniform_float(w(first + i)), in [0, 1).
struct RandomUniform {
  uint64_t key, step;
  int64_t first, n;
  float* out;  // [n]
};

// Box and Muller: elements 2k and 2k + 1 are the cosine and the sine of 2 pi uniform_float(w(2k +
// 1)), times sqrt(-2 ln(1 - uniform_float(w(2k)))).
struct RandomNormal {
  uint64_t key, step;
  int64_t first, n;
  float* out;  // [n]
};

namespace ref {
void random_uniform(const RandomUniform&);
void random_normal(const RandomNormal&);  // in double, rounded
}  // namespace ref

WEFT_CPU_KERNEL(random_uniform, RandomUniform)
WEFT_CPU_KERNEL(random_normal, RandomNormal)

}  // namespace weft::kernels
