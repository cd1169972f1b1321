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
  BackwardTile tile;
  float dk[sums], dv[sums], x[scores], y[scores];
  u32 weights[scores / 2], slopes[scores / 2];  // bf16, in the layout of operand A
  Stage place;
  Pair turn;

  INLINE Worker(const Places& places, const BackwardArguments& arguments, int g)
      : at(places), p(arguments), group(g), lane(threadIdx.x % 32), warp(threadIdx.x % 128 / 32) {}

  INLINE bool needs_mask(int m) const {
    const int end = tile.keys * backward_keys + group * 64 + 64;
    return end > p.kv_len || (s.causal && p.kv_len - p.q_len + m * backward_queries < end - 1);
  }
  INLINE void mask(int m) {
    const int key = tile.keys * backward_keys + group * 64 + warp * 16 + lane / 4;
    const int position = p.kv_len - p.q_len + m * backward_queries + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < scores; ++i) {
      const int k = key + i / 2 % 2 * 8;
      if (k >= p.kv_len || (s.causal && k > position + i / 4 * 8 + i % 2))
        x[i] = __int_as_float(0xff800000);
    }
  }
  INLINE void softmax(u32 terms) {
#pragma unroll
    for (int i = 0; i < scores; i += 4) {
      float lse[2];
      load_pair(terms + (i * 2 + lane % 4 * 2) * 4, lse[0], lse[1]);
#pragma unroll
      for (int j = 0; j < 4; ++j) x[i + j] = exp2_fast(fmaf(x[i + j], p.scale_log2, -lse[j % 2]));
      weights[i / 2] = pack_bf16(x[i], x[i + 1]);
      weights[i / 2 + 1] = pack_bf16(x[i + 2], x[i + 3]);
    }
  }
  INLINE void slope(u32 terms) {
#pragma unroll
    for (int i = 0; i < scores; i += 4) {
      float common[2];
      load_pair(terms + (backward_queries + i * 2 + lane % 4 * 2) * 4, common[0], common[1]);
#pragma unroll
      for (int j = 0; j < 4; ++j) y[i + j] = x[i + j] * (y[i + j] - common[j % 2]);
      slopes[i / 2] = pack_bf16(y[i], y[i + 1]);
      slopes[i / 2 + 1] = pack_bf16(y[i + 2], y[i + 3]);
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

  INLINE void step(int head, int m, bool first, bool last) {
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
    if (needs_mask(m)) mask(m);
    softmax(terms);
    wgmma_wait<0>();
    settle(y);
    if (last) release(at.barrier(values_empty));
    slope(terms);
    share_slopes(shared_slopes);
    wgmma_fence();
    issue_sums(dv, weights, d_o, !first);
    wgmma_commit();
    named_barrier(1, 256);  // both warpgroups' slopes are there
    float dq[query_sums];
    issue_query_sums(dq, shared_slopes, at.k + group * query_columns_offset);
    wgmma_commit();
    issue_sums(dk, slopes, q, !first);
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
                   pack_bf16(d[i] * factor, d[i + 1] * factor),
                   pack_bf16(d[i + 2] * factor, d[i + 3] * factor),
                   pack_bf16(d[i + 4] * factor, d[i + 5] * factor),
                   pack_bf16(d[i + 6] * factor, d[i + 7] * factor));
    publish_to_async();
    __syncwarp();
    const int row = tile.keys * backward_keys + group * 64 + warp * 16;
    if (lane == 0 && row < p.kv_len) {
      for (int i = 0; i < atoms; ++i)
        store_box_4d(map, staging + i * unit, i * 64, tile.kv_head, row, tile.segment);
      commit_stores();
    }
  }

  INLINE void run(const TensorMap* dk_map, const TensorMap* dv_map) {
    Pair tiles;
    u32 phase = 0;
    for (int index; (index = await_tile(at, tiles)) < backward_tiles(p); phase ^= 1) {
      tile = backward_tile(p, s, index);
      barrier_wait(at.barrier(keys_full), phase);
      barrier_wait(at.barrier(values_full), phase);
      bool first = true;
      each_step(p, tile, [&](int head, int m, int left) {
        step(head, m, first, left == 0);
        first = false;
      });
      settle(dv);
      write(dv, 1, dv_map, turn);
      settle(dk);
      Pair other = turn;
      other.advance();
      write(dk, p.scale, dk_map, other);
    }
    if (lane == 0) wait_stores_done();
  }
};
