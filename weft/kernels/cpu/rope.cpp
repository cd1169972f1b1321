#include "weft/kernels/rope.h"

#include "weft/kernels/cpu/rows.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

// (a, b) turned by the angle whose cosine and sine these are.
WEFT_INLINE inline void turn(F32x16& a, F32x16& b, F32x16 c, F32x16 s) {
  const F32x16 turned = fnma(b, s, a * c);
  b = fma(a, s, b * c);
  a = turned;
}

template <class T>
void turn_halves(const T* x, T* y, int64_t pairs, const float* cos, const float* sin, F32x16 sign) {
  each_step(pairs, [&](int64_t i, auto k) WEFT_INLINE {
    F32x16 a = load(x + i, k), b = load(x + pairs + i, k);
    turn(a, b, load(cos + i, k), load(sin + i, k) * sign);
    store(a, y + i, k), store(b, y + pairs + i, k);
  });
}

// Sixteen pairs (or fewer, the rest zeros) of neighbours, taken apart and joined again.
WEFT_INLINE inline void take_apart(const float* pairs, F32x16& a, F32x16& b) {
  float t[2][lanes];
  for (int j = 0; j < lanes; ++j) t[0][j] = pairs[2 * j], t[1][j] = pairs[2 * j + 1];
  a = F32x16::load(t[0]), b = F32x16::load(t[1]);
}
WEFT_INLINE inline void join(F32x16 a, F32x16 b, float* pairs) {
  float t[2][lanes];
  a.store(t[0]), b.store(t[1]);
  for (int j = 0; j < lanes; ++j) pairs[2 * j] = t[0][j], pairs[2 * j + 1] = t[1][j];
}
// A pair of bf16 is one word, the first in its low half; a bf16 is the high half of a float.
WEFT_INLINE inline void take_apart(const bf16* pairs, F32x16& a, F32x16& b) {
  int32_t words[lanes];
  std::memcpy(words, pairs, sizeof words);
  const I32x16 w = I32x16::load(words);
  a = as_float(shift_left<16>(w)), b = as_float(w & I32x16(-65536));
}
WEFT_INLINE inline void join(F32x16 a, F32x16 b, bf16* pairs) {
  const I32x16 low = shift_right<16>(as_int(round_to(a, pairs))) & I32x16(65535);
  int32_t words[lanes];
  (low | as_int(round_to(b, pairs))).store(words);
  std::memcpy(static_cast<void*>(pairs), words, sizeof words);
}

template <class T>
WEFT_INLINE inline void turn_sixteen(const T* x, T* y, F32x16 c, F32x16 s) {
  F32x16 a, b;
  take_apart(x, a, b);
  turn(a, b, c, s);
  join(a, b, y);
}

template <class T>
void turn_neighbours(const T* x, T* y, int64_t pairs, const float* cos, const float* sin,
                     F32x16 sign) {
  int64_t i = 0;
  for (; i + lanes <= pairs; i += lanes)
    turn_sixteen(x + 2 * i, y + 2 * i, F32x16::load(cos + i), F32x16::load(sin + i) * sign);
  if (i == pairs) return;
  const int n = int(pairs - i);
  T t[2 * lanes] = {};
  std::memcpy(static_cast<void*>(t), x + 2 * i, size_t(2 * n) * sizeof(T));
  turn_sixteen(t, t, F32x16::load(cos + i, n), F32x16::load(sin + i, n) * sign);
  std::memcpy(static_cast<void*>(y + 2 * i), t, size_t(2 * n) * sizeof(T));
}

template <class T>
void turn_tokens(const Rope& p, int64_t begin, int64_t end) {
  const int64_t pairs = p.rotary / 2;
  const F32x16 sign = p.inverse ? -1.0f : 1.0f;
  for (int64_t t = begin; t < end; ++t) {
    const float* cos = p.cos + p.positions[t] * pairs;
    const float* sin = p.sin + p.positions[t] * pairs;
    for (int64_t h = 0; h < p.heads; ++h) {
      const T* x = static_cast<const T*>(p.x) + t * p.x_row_stride + h * p.head_dim;
      T* y = static_cast<T*>(p.y) + t * p.y_row_stride + h * p.head_dim;
      if (p.convention == Rope::half)
        turn_halves(x, y, pairs, cos, sin, sign);
      else
        turn_neighbours(x, y, pairs, cos, sin, sign);
      if (x != y && p.rotary < p.head_dim)
        std::memcpy(static_cast<void*>(y + p.rotary), x + p.rotary,
                    size_t(p.head_dim - p.rotary) * sizeof(T));
    }
  }
}

}  // namespace

void rope(CpuStream& stream, const Rope& p) {
  stream.parallel_for(p.tokens, 1, [&](int64_t begin, int64_t end) {
    if (p.dtype == DType::bf16)
      turn_tokens<bf16>(p, begin, end);
    else
      turn_tokens<float>(p, begin, end);
  });
}

}  // namespace weft::kernels::cpu::WEFT_ISA
