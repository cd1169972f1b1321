// The softmax of one block of scores, in the registers of a warpgroup. Part of attention.cu.
//
// A thread holds, of its two rows r and r + 8, columns 8 i + c and 8 i + c + 1 (c = lane % 4 * 2);
// value 4 i + 2 half + j is row half, column j.
#pragma once

constexpr float minus_infinity = __builtin_bit_cast(float, 0xff800000u);

// Of the two rows of a thread: what is subtracted from their scores, about the largest so far (see
// raise_bases), and the thread's share of the sum.
struct RowState {
  float most[2] = {minus_infinity, minus_infinity};
  float sum[2] = {0, 0};
};

INLINE float over_quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
  return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}
INLINE float over_quad_sum(float x) {
  x += __shfl_xor_sync(~0u, x, 1);
  return x + __shfl_xor_sync(~0u, x, 2);
}

// Of a thread's two rows: the first key they see and the first they do not see any more, counted
// from the thread's first column of a block.
struct Seen {
  int first[2], end[2];
};
// Of rows at these positions, `key` being the thread's first column.
template <class Arguments>
INLINE Seen seen_from(const Arguments& p, int position, int position_8, int keys, int key) {
  Seen x;
  x.first[0] = position - p.window + 1 - key, x.first[1] = position_8 - p.window + 1 - key;
  x.end[0] = keys_end(s, position, keys) - key, x.end[1] = keys_end(s, position_8, keys) - key;
  return x;
}
// What a row does not see counts as minus infinity.
INLINE void mask_scores(float (&x)[scores], const Seen& seen) {
#pragma unroll
  for (int i = 0; i < scores; ++i) {
    const int column = i / 4 * 8 + i % 2, r = i / 2 % 2;
    if (column >= seen.end[r] || (s.windowed && column < seen.first[r])) x[i] = minus_infinity;
  }
}

// Scores to tanh(score / cap); what follows scales by the cap. tanh(y) = 1 - 2 / (1 + e^(2y)).
INLINE void cap_scores(float (&x)[scores], float cap_log2) {
#pragma unroll
  for (int i = 0; i < scores; ++i)
    x[i] = fmaf(-2.0f, reciprocal_fast(1.0f + exp2_fast(x[i] * cap_log2)), 1.0f);
}

// Two chains a row: one would take longer than the tensor cores leave.
INLINE void largest_scores(const float (&x)[scores], float (&most)[2]) {
  float other[2] = {minus_infinity, minus_infinity};
#pragma unroll
  for (int i = 0; i < scores; i += 2) {
    most[i / 2 % 2] = fmaxf(most[i / 2 % 2], x[i]);
    other[i / 2 % 2] = fmaxf(other[i / 2 % 2], x[i + 1]);
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) most[r] = over_quad_max(fmaxf(most[r], other[r]));
}
// The state brought up to date with a block of scores; decay: what sums so far are to be multiplied
// by. A row's base is its largest score, but rises only where one exceeds it by more than a factor
// of 2^8, so that sums are rarely scaled: a function of that row's scores alone.
INLINE void raise_bases(const float (&x)[scores], RowState& state, float (&decay)[2], float scale) {
  float most[2] = {state.most[0], state.most[1]};
  largest_scores(x, most);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (!((most[r] - state.most[r]) * scale > 8.0f)) most[r] = state.most[r];
    const float base = most[r] == minus_infinity ? 0.0f : most[r];  // a row that sees nothing yet
    decay[r] = exp2_fast((state.most[r] - base) * scale);
    state.most[r] = most[r];
    state.sum[r] = __fmul_rn(state.sum[r], decay[r]);
  }
}
// Scores to exp(scale (score - base)).
INLINE void weigh(float (&x)[scores], RowState& state, float scale) {
  float offset[2];
#pragma unroll
  for (int r = 0; r < 2; ++r)
    offset[r] = (state.most[r] == minus_infinity ? 0.0f : state.most[r]) * scale;
#pragma unroll
  for (int i = 0; i < scores; ++i) {
    x[i] = exp2_fast(fmaf(x[i], scale, -offset[i / 2 % 2]));
    state.sum[i / 2 % 2] += x[i];
  }
}
INLINE void scale_sums(float (&o)[sums], const float (&decay)[2]) {
  if (!__any_sync(~0u, decay[0] != 1 || decay[1] != 1)) return;  // times 1
#pragma unroll
  for (int i = 0; i < sums; ++i) o[i] *= decay[i / 2 % 2];
}
INLINE void pack_weights(u32 (&weights)[scores / 2], const float (&x)[scores]) {
#pragma unroll
  for (int i = 0; i < scores / 2; ++i) weights[i] = pack_halves<s.f16>(x[2 * i], x[2 * i + 1]);
}

// Two chunks become one, each scaled to the larger of the two maxima. One rounding for the first
// product and one for the rest, in every kernel: nothing here is left to the compiler.
INLINE float combined(float before, float keep, float x, float take) {
  return fmaf(x, take, __fmul_rn(before, keep));
}
struct Scales {
  float keep, take, most;
};
INLINE Scales combine_scales(float most_before, float most_of_chunk, float scale) {
  const float most = fmaxf(most_before, most_of_chunk);
  const float base = most == minus_infinity ? 0.0f : most;
  return {exp2_fast((most_before - base) * scale), exp2_fast((most_of_chunk - base) * scale), most};
}
INLINE float inverse_sum(float sum) {
  return sum > 0 ? 1.0f / sum : 0.0f;
}
INLINE float log_sum(float most, float sum, float scale) {
  return fmaf(most, scale, __logf(sum));
}

// Sums of all chunks so far, `total`, lie in shared memory: 16 bytes a thread, 512 a warp, for each
// four. Chunks are added in ascending order.
INLINE void add_chunk(float (&o)[sums], RowState& chunk, RowState& all, bool first, u32 total,
                      float scale) {
  Scales scales[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    chunk.sum[r] = over_quad_sum(chunk.sum[r]);
    scales[r] = combine_scales(all.most[r], chunk.most[r], scale);
    all.sum[r] =
        first ? chunk.sum[r] : combined(all.sum[r], scales[r].keep, chunk.sum[r], scales[r].take);
    all.most[r] = scales[r].most;
  }
  if (first) return;
#pragma unroll
  for (int i = 0; i < sums; i += 4) {
    float t[4];
    load_four(total + i / 4 * 512, t);
    for (int j = 0; j < 4; ++j)
      o[i + j] = combined(t[j], scales[j / 2].keep, o[i + j], scales[j / 2].take);
  }
}
