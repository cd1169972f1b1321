// C = A B for square matrices of one fixed size: what every step of the ladder computes.
#pragma once
#include <cstdint>
#include <immintrin.h>
#include <vector>

#include "weft/tensor/dtype.h"

namespace ladder {

using weft::bf16;

constexpr int n = 768;  // rows and columns; a multiple of every block below

// Row-major. The numbers of a and b are those of a16 and b16: all steps have the same inputs.
struct Product {
  const float *a, *b;
  const bf16 *a16, *b16;
  float* c;
};

// Room for a copy of B in the order in which a step reads it.
template <class T>
T* copy_of_b() {
  alignas(64) static T copy[n * n];
  return copy;
}

}  // namespace ladder
