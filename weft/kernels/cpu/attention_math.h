// Constants and roundings of softmax.
#pragma once
#include "weft/kernels/cpu/attention_tiles.h"
#include "weft/kernels/cpu/vmath.h"

namespace weft::kernels::cpu::WEFT_ISA {

constexpr float log2_e = 1.44269504f, ln_2 = 0.693147181f;

// The bits of x rounded to bf16 in the upper half of each lane, zeros below. For results of
// arithmetic, which are never denormal here; NaN stays NaN.
WEFT_INLINE inline I32x16 bf16_in_upper_half(F32x16 x) {
  const I32x16 bits = as_int(x);
  const I32x16 odd = shift_right<16>(bits) & I32x16(1);
  return (bits + (odd + I32x16(0x7fff))) & I32x16(int32_t(0xffff0000u));
}

}  // namespace weft::kernels::cpu::WEFT_ISA
