// Elementary functions over sixteen f32 lanes, with the same bits on every instruction set: every
// multiply-add that is fused is written as one. Reduction, then a minimax polynomial (fitted for
// relative error with Lawson's iteration). Errors stay below 3 units in the last place of the
// result, of pow 3.5 (vmath_test.cpp); NaN goes in, NaN comes out; limits at infinity are the
// mathematical ones. Results below the normal range are zero, as everywhere on x86.
#pragma once
#include <limits>

#include "weft/kernels/cpu/simd.h"

namespace weft::kernels::cpu::WEFT_ISA {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// c0 + c1 x + c2 x^2 + ... by Horner's rule.
inline F32x16 polynomial(F32x16, float c0) {
  return c0;
}
template <class... Rest>
inline F32x16 polynomial(F32x16 x, float c0, Rest... rest) {
  return fma(polynomial(x, rest...), x, c0);
}

inline F32x16 sign_bit(F32x16 x) {
  return bit_and(x, -0.0f);
}

// 2^n e^r for |r| <= ln(2)/2 and a whole n with a normal result.
inline F32x16 exp_reduced(F32x16 r, F32x16 n) {
  const F32x16 q = polynomial(r, 0.5f, 0.166666657f, 0.0416664556f, 0.00833356101f, 0.00139357615f,
                              0.000197487709f);
  const F32x16 p = fma(r * r, q, r) + F32x16(1.0f);
  return as_float(as_int(p) + shift_left<23>(to_int(n)));
}

inline F32x16 exp(F32x16 x) {
  const F32x16 n = round(x * F32x16(1.442695041f));
  const F32x16 r = fnma(n, -1.904654212e-9f, fnma(n, 0.6931471825f, x));
  const F32x16 y = select(F32x16(88.7228394f) < x, infinity, exp_reduced(r, n));
  return select(x < F32x16(-87.33654f), 0.0f, y);
}

// 2^(x + low) for a low part below an ulp of x.
inline F32x16 exp2(F32x16 x, F32x16 low) {
  const F32x16 n = round(x);
  const F32x16 r = (x - n) + low;
  const F32x16 y = select(F32x16(128.0f) <= x, infinity, exp_reduced(r * F32x16(0.6931471825f), n));
  return select(x < F32x16(-126.0f), 0.0f, y);
}
inline F32x16 exp2(F32x16 x) {
  return exp2(x, 0.0f);
}

// x = m 2^e with m in [sqrt(1/2), sqrt(2)), for positive normal x.
struct Split {
  F32x16 m, e;
};
inline Split split_exponent(F32x16 x) {
  const I32x16 bits = as_int(x);
  const I32x16 e = shift_right<23>(bits - I32x16(0x3f3504f3));
  return {as_float(bits - shift_left<23>(e)), to_float(e)};
}

inline F32x16 log(F32x16 x) {
  const Split s = split_exponent(x);
  const F32x16 f = s.m - F32x16(1.0f), f2 = f * f;
  const F32x16 q = polynomial(f, 0.333333135f, -0.250000119f, 0.200020745f, -0.166678578f,
                              0.14220193f, -0.124080963f, 0.11886435f, -0.116614513f, 0.067334719f);
  const F32x16 low =
      fma(s.e, 1.428606765e-6f, f * f2 * q);  // ln 2 in two parts; e times the first is exact
  F32x16 y = fma(s.e, 0.693145752f, f + fnma(0.5f, f2, low));
  y = select(x < F32x16(infinity), y, x);
  y = select(x < F32x16(std::numeric_limits<float>::min()), -infinity, y);
  return select(x < F32x16(0.0f), not_a_number, y);
}

inline F32x16 rsqrt(F32x16 x) {
  return F32x16(1.0f) / sqrt(x);
}

inline F32x16 sigmoid(F32x16 x) {
  return F32x16(1.0f) / (F32x16(1.0f) + exp(-x));
}

inline F32x16 tanh(F32x16 x) {
  const F32x16 a = abs(x), a2 = a * a;
  const F32x16 q = polynomial(a2, -0.333333313f, 0.133332178f, -0.0539475977f, 0.0217029862f,
                              -0.00817906484f, 0.00214175601f);
  const F32x16 small = fma(a * a2, q, a);
  const F32x16 large = F32x16(1.0f) - F32x16(2.0f) / (exp(a + a) + F32x16(1.0f));
  return bit_or(select(a < F32x16(0.625f), small, large), sign_bit(x));
}

// Up to 1: x times a polynomial of x^2; above: 1 - exp of a polynomial fitted to ln erfc.
inline F32x16 erf(F32x16 x) {
  const F32x16 a = abs(x);
  const F32x16 q = polynomial(a * a, 0.128379166f, -0.37612626f, 0.112835824f, -0.0268536378f,
                              0.00518793752f, -0.000800643058f, 7.84060176e-5f);
  const F32x16 small = fma(a, q, a);
  const F32x16 b = min(F32x16(4.0f), a);  // erf(4) rounds to 1
  const F32x16 large =
      F32x16(1.0f) -
      exp(polynomial(b, 0.000188055099f, -1.12957847f, -0.633219838f, -0.108418606f, 0.0252082646f,
                     -0.00420456519f, 0.000441338256f, -2.1687234e-5f));
  return bit_or(select(a < F32x16(1.0f), small, large), sign_bit(x));
}

// p 2^n for p in (0.7, 1.5), a whole n and results below 2^127; below the normal range: 0.
[[gnu::always_inline]] inline F32x16 times_power_of_two(F32x16 p, F32x16 n) {
#if defined(__AVX512F__)
  return _mm512_scalef_ps(p.v, n.v);
#else
  const I32x16 exponent = to_int(max(F32x16(-127.0f), n)) + I32x16(127);
  return p * as_float(shift_left<23>(exponent));
#endif
}

// 2^x for finite x below 127, as exact as what a T keeps of it needs. f32: relative error 2e-7;
// bf16: a cubic, 1e-4, a twentieth of what rounding to bf16 costs.
[[gnu::always_inline]] inline F32x16 power_of_two(F32x16 x, const float*) {
  const F32x16 n = round(x);
  return times_power_of_two(polynomial(x - n, 1.0f, 6.9314718e-1f, 2.4022349e-1f, 5.5503324e-2f,
                                       9.6758516e-3f, 1.3400431e-3f),
                            n);
}
[[gnu::always_inline]] inline F32x16 power_of_two(F32x16 x, const bf16*) {
  const F32x16 n = round(x);
  return times_power_of_two(
      polynomial(x - n, 9.9992448e-1f, 6.9312941e-1f, 2.4263635e-1f, 5.5796950e-2f), n);
}
template <class T>
[[gnu::always_inline]] inline F32x16 power_of_two(F32x16 x) {
  return power_of_two(x, static_cast<const T*>(nullptr));
}

// 2^x, or -2^x, from the sum of x, 512, the exponent's bias 127, and 256 for the sign, to 1.3e-4,
// for normal results; NaN is lost. The sum's lower 23 bits are the result's upper, with x's
// fraction as mantissa, which the cubic makes that of 2^x: it leads from [1, 2) into [1, 2).
inline F32x16 power_of_two_in_sum(F32x16 sum) {
  const F32x16 y = as_float(shift_left<9>(as_int(sum)));
  return with_mantissa(
      y, polynomial(with_mantissa(1.0f, y), 0.452616f, 0.47761289f, -0.00849623f, 0.07826797f));
}

// e^-x for results in T, x from -87 on. The error of x log2(e), half an ulp of it, is not made up
// for in bf16.
inline F32x16 exp_negative(F32x16 x, const float*) {
  return exp(-x);
}
inline F32x16 exp_negative(F32x16 x, const bf16*) {
  return power_of_two<bf16>(max(F32x16(-127.0f), x * F32x16(-1.44269504f)));
}
template <class T>
inline F32x16 exp_negative(F32x16 x) {
  return exp_negative(x, static_cast<const T*>(nullptr));
}

// x as bf16 keeps it, for |x| < 2^111, without leaving f32: x - 65536 x, rounded to 24 bits, is
// made of 8 bits of x. (65537 x may have one bit more than 65536 x, and then 7 bits of x are left.)
inline F32x16 to_bf16_precision(F32x16 x) {
  return fma(x, 65536.0f, fnma(x, 65536.0f, x));
}

// What gates x: gelu(x) = 0.5 x (1 + tanh(w / 2)) = x sigmoid(w) with w = 2 sqrt(2/pi) (x +
// 0.044715 x^3); silu with w = x. Beyond the limit the slope has reached its own, and the value for
// negative x is below the normal range, or, of bf16, about to be.
struct Gelu {
  static constexpr float w_1 = 1.59576912f, w_3 = 0.0713548163f;
  static constexpr float limit = 16, bf16_limit = 10;
  static F32x16 w_over_x(F32x16 x, float scale) { return fma(x * x, scale * w_3, scale * w_1); }
  static F32x16 w_slope(F32x16 x) { return fma(x * x, 3 * w_3, w_1); }
};
struct Silu {
  static constexpr float limit = 100, bf16_limit = 87;
  static F32x16 w_over_x(F32x16, float scale) { return scale; }
  static F32x16 w_slope(F32x16) { return 1.0f; }
};

// x sigmoid(w) in place of x, and its slope s + x s (1 - s) w', s = sigmoid(w). Both s and s (1 -
// s) come from exp(-|w|), so neither cancels.
template <class Gate>
[[gnu::always_inline]] inline void gate_f32(F32x16& x, F32x16& slope) {
  const F32x16 a = max(F32x16(-Gate::limit), x), b = min(F32x16(Gate::limit), a), one = 1.0f;
  const F32x16 w = b * Gate::w_over_x(b, 1), e = exp(-abs(w)), inverse = one / (one + e);
  const F32x16 s = inverse * select(w < F32x16(0.0f), e, one);
  slope = fma(b * Gate::w_slope(b), e * inverse * inverse, s);
  x = a / (one + exp(-(a * Gate::w_over_x(a, 1))));
}

// The same, of each x as bf16 keeps it, to 2e-4 of the value and of a slope of one, in stages,
// since a vector by itself is a long chain. With u = exp(-|w|): s (1 - s) = u s(|x|)^2, and for
// negative x the value is -u times that for |x|, the slope 1 minus that for |x|.
template <class Gate, int n>
[[gnu::always_inline]] inline void gate_bf16(F32x16 (&x)[n], F32x16 (&slope)[n]) {
  const F32x16 limit = Gate::bf16_limit, zero = 0.0f, one = 1.0f;
  F32x16 y[n], log2_u[n], minus_u[n], s[n];  // log2_u: in a sum
  WEFT_UNROLL for (int i = 0; i < n; ++i) {
    const F32x16 a = min(limit, abs(x[i]));
    y[i] = to_bf16_precision(a);
    log2_u[i] = fma(y[i], Gate::w_over_x(y[i], -1.44269504f), 512.0f + 256.0f + 127.0f);
  }
  WEFT_UNROLL for (int i = 0; i < n; ++i) minus_u[i] = power_of_two_in_sum(log2_u[i]);
  WEFT_UNROLL for (int i = 0; i < n; ++i)  // 1 / (1 + u)
      s[i] = polynomial(minus_u[i], 0.99994898f, 0.9962757f, 0.95342074f, 0.77057293f, 0.41793786f,
                        0.10448446f);
  WEFT_UNROLL for (int i = 0; i < n; ++i) {
    const F32x16 value = y[i] * s[i],
                 d = fnma(value * Gate::w_slope(y[i]) * minus_u[i], s[i], s[i]);
    const Mask16 negative = x[i] < zero;
    slope[i] = select(negative, one - d, d);
    x[i] = select(x[i] < limit, select(negative, value * minus_u[i], value), x[i]);
  }
}

// In results of T.
template <class Gate, class T, int n>
[[gnu::always_inline]] inline void gate(F32x16 (&x)[n], F32x16 (&slope)[n]) {
  if constexpr (sizeof(T) == 2)
    gate_bf16<Gate>(x, slope);
  else
    for (int i = 0; i < n; ++i) gate_f32<Gate>(x[i], slope[i]);
}

// x = quadrant pi/2 + r, |r| <= pi/4, for x >= 0.
struct Angle {
  F32x16 r;
  I32x16 quadrant;
};

// The same for one large x (Payne and Hanek): the bits of 2/pi whose product with x = m 2^e is not
// a multiple of 4.
inline float reduce_large_angle(float x, int32_t* quadrant) {
  constexpr uint32_t two_over_pi[8] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                       0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const int first = int(bits >> 23) - 120;  // e + 30: position of the bit of weight 2
  unsigned __int128 window = 0;
  for (int i = 0; i < 4; ++i) window = window << 32 | two_over_pi[first / 32 + i];
  window = (window << first % 32) >> 32;  // 96 bits
  const unsigned __int128 product = window * ((bits & 0x7fffff) | 0x800000);
  const int64_t fraction = int64_t(uint64_t(product >> 30));  // of a quadrant, in [-1/2, 1/2)
  *quadrant = int32_t(uint32_t(product >> 94) & 3u) + (fraction < 0);
  return float(double(fraction) * (1.5707963267948966 / 18446744073709551616.0));
}

inline Angle reduce_angle(F32x16 x) {
  constexpr float limit = 2097152.0f;  // up to here three parts of pi/2 are enough
  const F32x16 n = round(x * F32x16(0.6366197724f));
  F32x16 r = fnma(n, 1.570796371f, x);
  r = fnma(n, -1.71512451e-15f, fnma(n, -4.371138829e-8f, r));
  const I32x16 quadrant = to_int(n);
  const Mask16 large = (F32x16(limit) < x) & (x < F32x16(infinity));
  if (!large.any()) return {r, quadrant};
  float xs[lanes], rs[lanes];
  int32_t qs[lanes];
  x.store(xs), r.store(rs), quadrant.store(qs);
  for (int i = 0; i < lanes; ++i)
    if (xs[i] > limit && xs[i] < infinity) rs[i] = reduce_large_angle(xs[i], &qs[i]);
  return {F32x16::load(rs), I32x16::load(qs)};
}

// sin(r + quadrant pi/2); NaN unless x, the angle's source, is finite.
inline F32x16 sin_reduced(Angle angle, F32x16 x) {
  const F32x16 r = angle.r, r2 = r * r;
  const F32x16 s = fma(
      r * r2, polynomial(r2, -0.166666672f, 0.00833338313f, -0.000198544221f, 2.84481598e-6f), r);
  const F32x16 c = fma(r2 * r2, polynomial(r2, 0.0416666456f, -0.00138873118f, 2.44327657e-5f),
                       fnma(0.5f, r2, 1.0f));
  const Mask16 odd = to_float(angle.quadrant & I32x16(1)) == F32x16(1.0f);
  const F32x16 sign = as_float(shift_left<30>(angle.quadrant & I32x16(2)));
  return select(abs(x) < F32x16(infinity), bit_xor(select(odd, c, s), sign), x - x);
}

inline F32x16 sin(F32x16 x) {
  return bit_xor(sin_reduced(reduce_angle(abs(x)), x), sign_bit(x));
}

inline F32x16 cos(F32x16 x) {
  Angle angle = reduce_angle(abs(x));
  angle.quadrant = angle.quadrant + I32x16(1);
  return sin_reduced(angle, x);
}

// log2 of a positive normal x as the unevaluated sum of two floats, to about 32 bits: ln m = 2
// atanh(s), s = (m-1)/(m+1).
inline void log2_extended(F32x16 x, F32x16& high, F32x16& low) {
  constexpr float log2e = 1.442695022f, log2e_low = 1.925963034e-8f;
  const Split split = split_exponent(x);
  const F32x16 f = split.m - F32x16(1.0f), t = split.m + F32x16(1.0f),
               t_low = split.m - (t - F32x16(1.0f));
  const F32x16 s = f / t, s_low = fnma(s, t_low, fnma(s, t, f)) / t, s2 = s * s;
  const F32x16 s3 = s * s2, s3_low = fma(s, s2, -s3) + s * fma(s, s, -s2);
  const F32x16 rest = s2 * polynomial(s2, 0.400010049f, 0.28495723f, 0.243454948f);
  const F32x16 small = fma(s3, rest, fma(s3_low, 0.666666627f, s_low + s_low));
  const F32x16 tail = fma(s3, 0.666666627f, small);
  const F32x16 ln = s + s + tail, ln_low = tail - (ln - (s + s));
  const F32x16 p = ln * F32x16(log2e);
  const F32x16 p_low = fma(ln, log2e, -p) + fma(ln, log2e_low, ln_low * F32x16(log2e));
  const F32x16 sum = split.e + p;
  const F32x16 sum_low = (p - (sum - split.e)) + p_low;
  high = sum + sum_low;
  low = sum_low - (high - sum);
}

// IEEE pow: pow(x, 0) = pow(1, y) = 1; a negative x needs a whole y.
inline F32x16 pow(F32x16 x, F32x16 y) {
  const F32x16 a = abs(x), zero = 0.0f, one = 1.0f, inf = infinity;
  F32x16 high, low;
  log2_extended(a, high, low);
  const F32x16 z = high * y;
  F32x16 p = exp2(z, fma(high, y, -z) + low * y);
  const Mask16 large = (one < a) & ((a == inf) | (abs(y) == inf)),
               small = (a < one) & ((a == zero) | (abs(y) == inf));
  p = select(large, select(y < zero, zero, inf), p);
  p = select(small, select(y < zero, inf, zero), p);
  const F32x16 half = y * F32x16(0.5f);
  const Mask16 whole = floor(y) == y, odd = whole & ~(floor(half) == half) & (abs(y) < inf);
  p = select(odd, bit_xor(p, sign_bit(x)), p);
  p = select((x < zero) & ~whole & (a < inf), not_a_number, p);
  p = select(is_nan(x) | is_nan(y), x + y, p);
  return select((y == zero) | (x == one) | ((a == one) & (abs(y) == inf)), one, p);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
