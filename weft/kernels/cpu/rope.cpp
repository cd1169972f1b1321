#include "weft/kernels/rope.h"

#include <type_traits>

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

template <class T>
void turn_neighbours(const T* x, T* y, int64_t pairs, const float* cos, const float* sin,
                     F32x16 sign) {
  each_step(pairs, [&](int64_t i, auto k) WEFT_INLINE {
    constexpr bool whole = std::is_same_v<decltype(k), AllLanes>;
    int n = lanes;
    if constexpr (!whole) n = k;
    T apart[2][lanes] = {}, joined[2 * lanes];
    for (int j = 0; j < n; ++j) apart[0][j] = x[2 * (i + j)], apart[1][j] = x[2 * (i + j) + 1];
    F32x16 a = F32x16::load(apart[0]), b = F32x16::load(apart[1]);
    turn(a, b, load(cos + i, k), load(sin + i, k) * sign);
    a.store(apart[0]), b.store(apart[1]);
    for (int j = 0; j < n; ++j) joined[2 * j] = apart[0][j], joined[2 * j + 1] = apart[1][j];
    std::memcpy(static_cast<void*>(y + 2 * i), joined, size_t(2 * n) * sizeof(T));
  });
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
