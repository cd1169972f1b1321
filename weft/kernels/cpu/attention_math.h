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

// Thirty-two values of a row.
WEFT_INLINE inline void store_rounded(F32x16 a, F32x16 b, float* to) {
  a.store(to), b.store(to + 16);
}
WEFT_INLINE inline void store_rounded(F32x16 a, F32x16 b, bf16* to) {
#if defined(__AVX512BF16__)
  _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(b.v, a.v));
#elif defined(__AVX512F__)
  const __m512i upper_halves =
      _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33,  //
                       31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  _mm512_storeu_si512(to, _mm512_permutex2var_epi16(bf16_in_upper_half(a).v, upper_halves,
                                                    bf16_in_upper_half(b).v));
#else
  a.store(to), b.store(to + 16);
#endif
}

}  // namespace weft::kernels::cpu::WEFT_ISA
