// Powers of two for softmax: cheaper than vmath.h's and as exact as what they are used for.
#pragma once
#include "weft/kernels/cpu/attention_tiles.h"
#include "weft/kernels/cpu/vmath.h"

namespace weft::kernels::cpu::WEFT_ISA {

constexpr float log2_e = 1.44269504f, ln_2 = 0.693147181f;

// p 2^n for p in (0.7, 1.5), a whole n and results below 2^127; below the normal range: 0.
WEFT_INLINE inline F32x16 times_power_of_two(F32x16 p, F32x16 n) {
#if defined(__AVX512F__)
  return _mm512_scalef_ps(p.v, n.v);
#else
  const I32x16 exponent = to_int(max(F32x16(-127.0f), n)) + I32x16(127);
  return p * as_float(shift_left<23>(exponent));
#endif
}

// 2^x for finite x below 127. For f32: relative error 2e-7. For bf16 a cubic, 1e-4: a twentieth of
// what rounding the probability to bf16 costs.
WEFT_INLINE inline F32x16 power_of_two(F32x16 x, const float*) {
  const F32x16 n = round(x);
  return times_power_of_two(polynomial(x - n, 1.0f, 6.9314718e-1f, 2.4022349e-1f, 5.5503324e-2f,
                                       9.6758516e-3f, 1.3400431e-3f),
                            n);
}
WEFT_INLINE inline F32x16 power_of_two(F32x16 x, const bf16*) {
  const F32x16 n = round(x);
  return times_power_of_two(
      polynomial(x - n, 9.9992448e-1f, 6.9312941e-1f, 2.4263635e-1f, 5.5796950e-2f), n);
}
template <class T>
WEFT_INLINE inline F32x16 power_of_two(F32x16 x) {
  return power_of_two(x, static_cast<const T*>(nullptr));
}

// The bits of x rounded to bf16 in the upper half of each lane, zeros below. For results of
// arithmetic, which are never denormal here; NaN stays NaN.
WEFT_INLINE inline I32x16 bf16_in_upper_half(F32x16 x) {
  const I32x16 bits = as_int(x);
  const I32x16 odd = shift_right<16>(bits) & I32x16(1);
  return (bits + (odd + I32x16(0x7fff))) & I32x16(int32_t(0xffff0000u));
}

}  // namespace weft::kernels::cpu::WEFT_ISA
