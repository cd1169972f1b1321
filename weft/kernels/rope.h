// Rotary position embedding (Su et al., arXiv:2104.09864): pairs of a head's elements are turned by
// an angle that grows with the position.
#pragma once
#include <span>

#include "weft/kernels/kernel.h"

namespace weft::kernels {

// Pair i is turned by the angle of table row positions[t], column i: (a, b) -> (a cos - b sin, b
// cos + a sin), the second product of each fused. Elements from `rotary` on are copied.
struct Rope {
  // Which elements are pair i: half, i and i + rotary / 2 (Llama, NeoX); interleaved, 2 i and 2 i +
  // 1 (GPT-J).
  enum Convention { half, interleaved };

  int64_t tokens = 0, heads = 0, head_dim = 0;
  int64_t rotary = 0;         // even, at most head_dim
  DType dtype = DType::bf16;  // of x and y: bf16 or f32; f64 through ref
  Convention convention = half;
  bool inverse = false;      // turn back: the gradient of the rotation
  const void* x = nullptr;   // [tokens, heads, head_dim]; a token's heads are contiguous
  int64_t x_row_stride = 0;  // elements from token to token
  void* y = nullptr;         // the same shape; may be x with the same stride
  int64_t y_row_stride = 0;
  const int32_t* positions = nullptr;  // [tokens], each below the tables' rows
  const float* cos = nullptr;          // [positions, rotary / 2], from rope_tables
  const float* sin = nullptr;          // [positions, rotary / 2]
};

WEFT_CPU_KERNEL(rope, Rope)

// cos and sin [positions, frequencies] of position times frequency, computed in f64.
void rope_tables(int64_t positions, std::span<const double> frequencies, float* cos, float* sin);
// With the frequencies theta^(-2 i / rotary) for i < rotary / 2.
void rope_tables(int64_t positions, int64_t rotary, double theta, float* cos, float* sin);

namespace ref {
template <class T>
void rope(const Rope& params);
}  // namespace ref

}  // namespace weft::kernels
