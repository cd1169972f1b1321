// The softmax of one block of scores, in the registers of a warpgroup. Part of attention.cu.
//
// A thread holds, of its two rows r and r + 8, columns 8 i + c and 8 i + c + 1 (c = lane % 4 * 2);
// value 4 i + 2 half + j is row half, column j.
#pragma once

constexpr float minus_infinity = __builtin_bit_cast(float, 0xff800000u);

// Of the two rows of a thread: the largest score so far, and the thread's share of the sum.
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

// Keys from `column` on that a row at `position` does not see count as minus infinity.
INLINE void mask_scores(float (&x)[scores], int position, int column, int kv_len) {
#pragma unroll
  for (int i = 0; i < scores; ++i) {
    const int key = column + i / 4 * 8 + i % 2;
    if (key >= kv_len || (s.causal && key > position + i / 2 % 2 * 8)) x[i] = minus_infinity;
  }
}

// Scores to exp(scale (score - largest)), the state brought up to date; decay: what sums so far are
// to be multiplied by.
INLINE void softmax_block(float (&x)[scores], RowState& state, float (&decay)[2], float scale) {
  // Two chains a row: one would take longer than the tensor cores leave.
  float most[2] = {state.most[0], state.most[1]}, other[2] = {minus_infinity, minus_infinity};
#pragma unroll
  for (int i = 0; i < scores; i += 2) {
    most[i / 2 % 2] = fmaxf(most[i / 2 % 2], x[i]);
    other[i / 2 % 2] = fmaxf(other[i / 2 % 2], x[i + 1]);
  }
  float offset[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    most[r] = over_quad_max(fmaxf(most[r], other[r]));
    const float base = most[r] == minus_infinity ? 0.0f : most[r];  // a row that sees nothing yet
    decay[r] = exp2_fast((state.most[r] - base) * scale);
    offset[r] = base * scale;
    state.most[r] = most[r];
    state.sum[r] *= decay[r];
  }
#pragma unroll
  for (int i = 0; i < scores; ++i) {
    x[i] = exp2_fast(fmaf(x[i], scale, -offset[i / 2 % 2]));
    state.sum[i / 2 % 2] += x[i];
  }
}

// Sums of all chunks so far, `total`, lie in shared memory: 16 bytes a thread, 512 a warp, for each
// four. Chunks are added in ascending order, each scaled to the larger of the two maxima.
INLINE void add_chunk(float (&o)[sums], RowState& chunk, RowState& all, bool first, u32 total,
                      float scale) {
  float keep[2], take[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    chunk.sum[r] = over_quad_sum(chunk.sum[r]);
    const float most = fmaxf(all.most[r], chunk.most[r]);
    const float base = most == minus_infinity ? 0.0f : most;
    keep[r] = exp2_fast((all.most[r] - base) * scale);
    take[r] = exp2_fast((chunk.most[r] - base) * scale);
    all.sum[r] = first ? chunk.sum[r] : all.sum[r] * keep[r] + chunk.sum[r] * take[r];
    all.most[r] = most;
  }
  if (first) return;
#pragma unroll
  for (int i = 0; i < sums; i += 4) {
    float t[4];
    load_four(total + i / 4 * 512, t);
    for (int j = 0; j < 4; ++j) o[i + j] = t[j] * keep[j / 2] + o[i + j] * take[j / 2];
  }
}
