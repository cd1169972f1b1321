// Of attention_backward.cu: what a warpgroup does with its 64 keys.
//
// A thread holds, of two keys r and r + 8, queries 8 i + c and 8 i + c + 1 (c = lane % 4 * 2):
// value 4 i + 2 half + j is key half, query j.
#pragma once
#include "weft/kernels/cuda/device/attention_backward_feed.cuh"
#include "weft/kernels/cuda/device/attention_backward_products.cuh"

INLINE void release(u32 barrier) {
  if (threadIdx.x % 128 == 0) barrier_arrive(barrier);
}

struct Worker {
  const Places& at;
  const BackwardArguments& p;
  const int group, lane, warp;
  u32 tile_at;  // in shared memory: read when it is needed, for want of registers
  float dk[sums], dv[sums], x[scores], y[scores];
  u32 weights[scores / 2], slopes[scores / 2];  // bf16, in the layout of operand A
  Stage place;
  Pair turn;
  u32 turns = 0;  // bit i: the phase of turn_come + i

  INLINE Worker(const Places& places, const BackwardArguments& arguments, int g)
      : at(places), p(arguments), group(g), lane(threadIdx.x % 32), warp(threadIdx.x % 128 / 32) {}

  INLINE bool needs_mask(const BackwardTile& tile, int m) const {
    const int key = tile.key + group * 64, position = tile.position + m * backward_queries;
    return key + 64 > tile.keys || (s.causal && position < key + 63) ||
           (s.windowed && position + backward_queries - p.window > key);
  }
  INLINE void mask(int m) {
    const BackwardTile tile = tile_from(tile_at);
    if (!needs_mask(tile, m)) return;
    const int key = tile.key + group * 64 + warp * 16 + lane / 4;
    const int position = tile.position + m * backward_queries + lane % 4 * 2;
    int first[2], end[2];  // of the columns that see a key
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      first[r] = key + 8 * r >= tile.keys ? backward_queries
                 : s.causal               ? key + 8 * r - position
                                          : 0;
      end[r] = key + 8 * r + p.window - position;
    }
#pragma unroll
    for (int i = 0; i < scores; ++i) {
      const int column = i / 4 * 8 + i % 2, r = i / 2 % 2;
      if (column < first[r] || (s.windowed && column >= end[r])) x[i] = __int_as_float(0xff800000);
    }
  }
  INLINE void cap_scores() {  // as in attention_softmax.cuh
#pragma unroll
    for (int i = 0; i < scores; ++i)
      x[i] = fmaf(-2.0f, reciprocal_fast(1.0f + exp2_fast(x[i] * p.cap_log2)), 1.0f);
  }
  // Of a score, or of tanh(score / cap) where capped: e to it over the row's sum; `factor`: what
  // the gradient is multiplied by to be that of q k.
  INLINE float weight(float score, float lse, float& factor) const {
    const float w = exp2_fast(fmaf(score, p.scale_log2, -lse));
    factor = s.capped ? w * fmaxf(fmaf(-score, score, 1.0f), 0.0f) : w;  // masked: 0, not NaN
    return w;
  }
  INLINE void softmax(u32 terms) {
#pragma unroll
    for (int i = 0; i < scores; i += 4) {
      float lse[2], w[4];
      load_pair(terms + (i * 2 + lane % 4 * 2) * 4, lse[0], lse[1]);
#pragma unroll
      for (int j = 0; j < 4; ++j) w[j] = weight(x[i + j], lse[j % 2], x[i + j]);
      weights[i / 2] = pack_halves<s.f16>(w[0], w[1]);
      weights[i / 2 + 1] = pack_halves<s.f16>(w[2], w[3]);
    }
  }
  INLINE void slope(u32 terms) {
#pragma unroll
    for (int i = 0; i < scores; i += 4) {
      float common[2];
      load_pair(terms + (backward_queries + i * 2 + lane % 4 * 2) * 4, common[0], common[1]);
#pragma unroll
      for (int j = 0; j < 4; ++j) y[i + j] = x[i + j] * (y[i + j] - common[j % 2]);
      slopes[i / 2] = pack_halves<s.f16>(y[i], y[i + 1]);
      slopes[i / 2 + 1] = pack_halves<s.f16>(y[i + 2], y[i + 3]);
    }
  }
  // [keys][queries], for the gradient of queries, which takes all 128 keys.
  INLINE void share_slopes(u32 to) {
    to += (group * 64 + warp * 16) * row_bytes;
#pragma unroll
    for (int i = 0; i < scores / 8; ++i)
      store_blocks(to + swizzled_offset(lane % 16, 2 * i + lane / 16), slopes[4 * i],
                   slopes[4 * i + 1], slopes[4 * i + 2], slopes[4 * i + 3]);
    publish_to_async();
  }

#include "weft/kernels/cuda/device/attention_backward_queries.cuh"

  INLINE void step(int head, int m, bool last) {
    const int stage = place.stage;
    const u32 q = at.q + stage * query_block_bytes(s), d_o = at.d_o + stage * query_block_bytes(s);
    const u32 terms = at.terms + stage * row_term_bytes;
    const u32 shared_slopes = at.slopes + turn.stage * slope_bytes;
    const u32 own = group * 64 * row_bytes;  // this warpgroup's keys
    barrier_wait(at.q_full(stage), place.phase);
    wgmma_fence();
    issue_scores(x, at.k + own, q);
    wgmma_commit();
    barrier_wait(at.d_o_full(stage), place.phase);
    issue_scores(y, at.v + own, d_o);
    wgmma_commit();
    wgmma_wait<1>();
    settle(x);
    if (s.capped) cap_scores();
    mask(m);
    softmax(terms);
    wgmma_wait<0>();
    settle(y);
    if (last) release(at.barrier(values_empty));
    slope(terms);
    share_slopes(shared_slopes);
    wgmma_fence();
    issue_sums(dv, weights, d_o);
    wgmma_commit();
    named_barrier(1, 256);  // both warpgroups' slopes are there
    float dq[query_sums];
    issue_query_sums(dq, shared_slopes, at.k + group * query_columns_offset);
    wgmma_commit();
    issue_sums(dk, slopes, q);
    wgmma_commit();
    wgmma_wait<1>();
    release(at.d_o_empty(stage));
    settle(dq);
    if (last) release(at.barrier(keys_empty));
    add_to_queries(dq, head, m);
    wgmma_wait<0>();
    release(at.q_empty(stage));
    place.advance();
    turn.advance();
  }

  // This warp's 16 rows to memory, through a place of sums.
  INLINE void write(float (&d)[sums], float factor, const TensorMap* map, const Pair& through) {
    const u32 staging = sum_place(through.stage) - lane * 16;
    constexpr u32 unit = 16 * row_bytes;
    await_sum_place(through);
#pragma unroll
    for (int i = 0; i < sums; i += 8)
      store_blocks(staging + i / 32 * unit + swizzled_offset(lane % 16, i / 4 % 8 + lane / 16),
                   pack_halves<s.f16>(d[i] * factor, d[i + 1] * factor),
                   pack_halves<s.f16>(d[i + 2] * factor, d[i + 3] * factor),
                   pack_halves<s.f16>(d[i + 4] * factor, d[i + 5] * factor),
                   pack_halves<s.f16>(d[i + 6] * factor, d[i + 7] * factor));
    publish_to_async();
    __syncwarp();
    const BackwardTile tile = tile_from(tile_at);
    const int row = tile.key + group * 64 + warp * 16;
    if (lane == 0) store_rows(map, staging, tile.head, tile.kv + row, tile.keys - row);
  }

  INLINE void run(const TensorMap* dk_map, const TensorMap* dv_map) {
    Pair tiles;
    for (u32 phase = 0;; tiles.advance()) {
      tile_at = await_tile(at, tiles);
      const BackwardTile tile = tile_from(tile_at);
      if (tile.head < 0) break;
#pragma unroll
      for (int i = 0; i < sums; ++i) dk[i] = dv[i] = 0;
      if (tile.first < tile.end) {  // else nobody sees these keys
        barrier_wait(at.barrier(keys_full), phase);
        barrier_wait(at.barrier(values_full), phase);
        phase ^= 1;
      }
      each_step(p, tile, [&](int head, int m, bool last) { step(head, m, last); });
      settle(dv);
      write(dv, 1, dv_map, turn);
      settle(dk);
      Pair other = turn;
      other.advance();
      write(dk, p.slope_scale, dk_map, other);
      __syncwarp();
      if (lane == 0) release_tile(at, tiles);
    }
    if (lane == 0) wait_stores_done();
  }
};
