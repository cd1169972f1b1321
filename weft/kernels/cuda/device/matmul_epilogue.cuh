// What happens to a sum on its way to C. Defined before: the schedule `s` with its MatmulEpilogue;
// `f32_results` when C is f32. Elements come in pairs, the first in an even column; behind a last
// odd one lies padding of the row.
#pragma once

struct Pair {
  float x, y;
};
INLINE Pair load_result(const void* from, long long at) {
  if constexpr (f32_results) {
    const float* f = (const float*)from + at;
    return {f[0], f[1]};
  } else {
    const u32 pair = *(const u32*)((const u16*)from + at);
    return {low_half<s.f16>(pair), high_half<s.f16>(pair)};
  }
}
INLINE void store_result(void* to, long long at, Pair v) {
  if constexpr (f32_results) {
    float* f = (float*)to + at;
    f[0] = v.x, f[1] = v.y;
  } else {
    *(u32*)((u16*)to + at) = pack_halves<s.f16>(v.x, v.y);
  }
}
INLINE Pair rounded(Pair v) {
  if constexpr (f32_results) return v;
  const u32 pair = pack_halves<s.f16>(v.x, v.y);
  return {low_half<s.f16>(pair), high_half<s.f16>(pair)};
}

// Of one row, from `column`; inside: of C.
INLINE Pair finish(Pair v, bool inside, int row, int column, int batch, const MatmulArguments& p) {
  constexpr MatmulEpilogue e = s.epilogue;
  const long long at = batch * p.c_batch_stride + row * p.c_row_stride + column;
  if constexpr (e.gelu) {
    v = rounded(v);
    if (e.keep_slope && inside)
      store_result(p.slope, at, {gelu_tanh_slope(v.x), gelu_tanh_slope(v.y)});
    v = {gelu_tanh(v.x), gelu_tanh(v.y)};
  }
  if constexpr (e.times_slope) {
    const Pair slope = inside ? load_result(p.slope, at) : Pair{0, 0};
    v = rounded(v);
    v = {v.x * slope.x, v.y * slope.y};
  }
  if constexpr (e.residual) {
    const long long from = batch * p.residual_batch_stride + row * p.residual_row_stride + column;
    const Pair other = inside ? load_result(p.residual, from) : Pair{0, 0};
    v = rounded(v);
    v = {v.x + other.x, v.y + other.y};
  }
  return v;
}

// A thread's four sums of a block of 8 columns: columns `column` and the next of `row` and row + 8.
INLINE void epilogue(float* v, int row, int column, int batch, const MatmulArguments& p) {
  Pair bias{0, 0};
  if constexpr (s.epilogue.bias) {
    const u16* b = (const u16*)p.bias + column;
    if (column < p.n) bias.x = low_half<s.f16>(b[0]);
    if (column + 1 < p.n) bias.y = low_half<s.f16>(b[1]);
  }
#pragma unroll
  for (int i = 0; i < 4; i += 2, row += 8) {
    const Pair sum =
        s.epilogue.bias ? Pair{v[i] + bias.x, v[i + 1] + bias.y} : Pair{v[i], v[i + 1]};
    const Pair value = finish(sum, row < p.m && column < p.n, row, column, batch, p);
    v[i] = value.x, v[i + 1] = value.y;  // by value: references would keep all sums in memory
  }
}
