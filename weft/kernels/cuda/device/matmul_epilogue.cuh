// What happens to a sum on its way to C. Defined before: the schedule `s` with its MatmulEpilogue;
// `f32_results` when C is f32. Elements come in pairs, the first in an even column; behind a last
// odd one lies padding of the row.
#pragma once

struct Pair {
  float x, y;
};
INLINE Pair unpacked(u32 pair) {
  return {low_half<s.f16>(pair), high_half<s.f16>(pair)};
}
INLINE Pair rounded(Pair v) {
  if constexpr (f32_results) return v;
  return unpacked(pack_halves<s.f16>(v.x, v.y));
}
INLINE Pair times(Pair a, Pair b) {
  return {a.x * b.x, a.y * b.y};
}

// Sums scaled and with bias, in one rounding; of SwiGLU those of gate and of up.
struct Sums {
  Pair v, up;
};
INLINE Pair load_bias(int column, const MatmulArguments& p) {
  Pair bias{0, 0};
  if constexpr (s.epilogue.bias) {
    const u16* b = (const u16*)p.bias + column;
    if (column < p.n) bias.x = low_half<s.f16>(b[0]);
    if (column + 1 < p.n) bias.y = low_half<s.f16>(b[1]);
  }
  return bias;
}
INLINE Sums load_biases(int column, const MatmulArguments& p) {
  Sums bias{load_bias(column, p), {0, 0}};
  if constexpr (s.epilogue.swiglu) bias.up = load_bias(p.n / 2 + column, p);
  return bias;
}
INLINE Pair scaled(const float* sums, Pair bias, const MatmulArguments& p) {
  if constexpr (!s.epilogue.bias) return {sums[0] * p.scale, sums[1] * p.scale};
  return {__fmaf_rn(sums[0], p.scale, bias.x), __fmaf_rn(sums[1], p.scale, bias.y)};
}
// ups: where SwiGLU's other sums are.
INLINE Sums scaled(const float* sums, const float* ups, const Sums& bias,
                   const MatmulArguments& p) {
  Sums result{scaled(sums, bias.v, p), {0, 0}};
  if constexpr (s.epilogue.swiglu) result.up = scaled(ups, bias.up, p);
  return result;
}

// What comes of a sum: C, then its slopes or, of SwiGLU's gradient, the other half of C.
struct Results {
  Pair v[outputs(s.epilogue)];
};
INLINE Results swiglu(Pair gate, Pair up) {
  const Pair gates = {sigmoid(gate.x), sigmoid(gate.y)}, silu = rounded(times(gate, gates));
  Results r;
  r.v[0] = times(silu, up);
  if constexpr (s.epilogue.keep_slope) {
    r.v[1] = times(up, {silu_slope(gate.x, gates.x), silu_slope(gate.y, gates.y)});
    r.v[2] = silu;
  }
  return r;
}
// read: slope, slopes or residual.
INLINE Results finish(const Sums& sum, const Pair* read) {
  constexpr MatmulEpilogue e = s.epilogue;
  if constexpr (e.swiglu) return swiglu(rounded(sum.v), rounded(sum.up));
  Results r;
  r.v[0] = sum.v;
  if constexpr (e.gelu) {
    const Pair v = rounded(sum.v);
    if constexpr (e.keep_slope) r.v[1] = {gelu_tanh_slope(v.x), gelu_tanh_slope(v.y)};
    r.v[0] = {gelu_tanh(v.x), gelu_tanh(v.y)};
  }
  if constexpr (e.swiglu_gradient) r.v[1] = times(rounded(sum.v), read[1]);
  if constexpr (e.times_slope || e.swiglu_gradient) r.v[0] = times(rounded(sum.v), read[0]);
  if constexpr (e.residual) {
    const Pair v = rounded(r.v[0]);
    r.v[0] = {v.x + read[0].x, v.y + read[0].y};
  }
  return r;
}
