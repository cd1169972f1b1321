// What a warpgroup does with a tile of queries. Part of attention.cu.
#pragma once
#include "weft/kernels/cuda/device/attention_feed.cuh"
#include "weft/kernels/cuda/device/attention_products.cuh"
#include "weft/kernels/cuda/device/attention_softmax.cuh"

INLINE void release(u32 barrier) {
  if (threadIdx.x % 128 == 0) barrier_arrive(barrier);
}

// One warpgroup's work on one tile.
struct Consumer {
  const Places& at;
  const AttentionArguments& p;
  const int group, lane, warp;  // of all warpgroups
  u64 q, k, v;                  // descriptors of stage 0
  u32 total;                    // of this thread
  float o[sums], x[scores];
  u32 weights[scores / 2];  // softmax of a block in 16 bits, in the layout of operand A
  RowState chunk, all;
  Stage place;
  AttentionTile tile;

  INLINE Consumer(const Places& places, const AttentionArguments& arguments, int g)
      : at(places),
        p(arguments),
        group(g),
        lane(threadIdx.x % 32),
        warp(g * 4 + threadIdx.x % 128 / 32),
        q(operand_descriptor(at.q + g * 64 * row_bytes, false)),
        k(operand_descriptor(at.k, false)),
        v(values_descriptor(at.v)),
        total(at.total + warp * (16 * s.head_dim * 4) + lane * 16) {}

  INLINE void issue_scores() {
    ::issue_scores<tile_rows(s)>(x, q, k + (place.stage * key_bytes(s) >> 4));
  }
  INLINE void issue_values(int stage, bool add) {
    ::issue_values(o, weights, v + (stage * key_bytes(s) >> 4), add);
  }
  INLINE void scores_done(int j) {
    settle(x);
    release(at.k_empty + 8 * place.stage);
    if (j == tile.end - 1) release(at.q_empty);
  }
  // Of block j's raw scores.
  template <bool masked>
  INLINE void start_softmax(int j, float (&decay)[2]) {
    if (s.capped) cap_scores(x, p.cap_log2);
    if (masked) {
      const int position = tile.position + warp * 16 + lane / 4;
      mask_scores(x,
                  seen_from(p, position, position + 8, tile.keys, j * s.key_block + lane % 4 * 2));
    }
    raise_bases(x, chunk, decay, p.scale_log2);
  }

  // The first block: scores, softmax.
  template <bool masked>
  INLINE void begin() {
    barrier_wait(at.k_full + 8 * place.stage, place.phase);
    wgmma_fence();
    issue_scores();
    wgmma_wait<0>();
    scores_done(tile.first);
    float decay[2];
    start_softmax<masked>(tile.first, decay);
    weigh(x, chunk, p.scale_log2);
    pack_weights(weights, x);
  }

  // Scores of block j with the products of block j - 1.
  template <bool masked>
  INLINE void step(int j) {
    const Stage before = place;
    place.advance();
    const bool new_chunk = j % chunk_blocks == 0;
    barrier_wait(at.k_full + 8 * place.stage, place.phase);
    named_barrier(2 + group, 256);
    wgmma_fence();
    issue_scores();
    barrier_wait(at.v_full + 8 * before.stage, before.phase);
    issue_values(before.stage, !starts_sums(j - 1));
    named_barrier_arrive(2 + (group + 1) % s.groups, 256);
    wgmma_wait<1>();
    scores_done(j);
    RowState ended = chunk;
    if (new_chunk) chunk = RowState();
    float decay[2];
    start_softmax<masked>(j, decay);
    wgmma_wait<0>();
    settle(o);
    release(at.v_empty + 8 * before.stage);
    // Beneath this warpgroup's own products, not only the others', this was 3 to 6 % slower.
    weigh(x, chunk, p.scale_log2);
    pack_weights(weights, x);
    if (new_chunk)
      end_chunk(ended, is_first_chunk(j - 1));
    else
      scale_sums(o, decay);
  }
  INLINE bool starts_sums(int j) const {
    return j % chunk_blocks == 0 || (s.windowed && j == tile.first);
  }
  INLINE bool is_first_chunk(int j) const {
    return j / chunk_blocks == (s.windowed ? tile.first / chunk_blocks : 0);
  }

  INLINE void end_chunk(RowState& ended, bool first) {
    if (first) {  // the tile before may still be read from there
      if (lane == 0) wait_stores_read<0>();
      __syncwarp();
    }
    add_chunk(o, ended, all, first, total, p.scale_log2);
#pragma unroll
    for (int i = 0; i < sums; i += 4) store_four(total + i / 4 * 512, o + i);
  }

  INLINE void finish() {
    const int j = tile.end - 1;
    barrier_wait(at.v_full + 8 * place.stage, place.phase);
    issue_values(place.stage, !starts_sums(j));
    wgmma_wait<0>();
    settle(o);
    release(at.v_empty + 8 * place.stage);
    place.advance();
    add_chunk(o, chunk, all, is_first_chunk(j), total, p.scale_log2);
  }

  // Whether every row of this warpgroup sees the whole of block j.
  INLINE bool is_whole(int j) const {
    const int position = tile.position + group * 64, key = j * s.key_block;
    return keys_end(s, position, tile.keys) >= key + s.key_block &&
           (!s.windowed || position + 63 - p.window < key);
  }

  INLINE void run() {
    chunk = all = RowState();
    int j = tile.first;
    if (is_whole(j))
      begin<false>();
    else
      begin<true>();
    if (s.windowed) {
#pragma unroll 1
      for (++j; j < tile.end; ++j)
        if (is_whole(j))
          step<false>(j);
        else
          step<true>(j);
    } else {
#pragma unroll 1
      for (++j; j < tile.end && is_whole(j); ++j) step<false>(j);
#pragma unroll 1
      for (; j < tile.end; ++j) step<true>(j);
    }
    finish();
  }

  // o / sum through this warp's part of `total` to memory, and the logarithm of the sum.
  INLINE void write(const TensorMap* map, u32 phase) {
    tile = announced(at, phase);  // again: for want of registers not all of it was kept
    const u32 staging = total - lane * 16;
    float inverse[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      inverse[r] = inverse_sum(all.sum[r]);
      const int row = warp * 16 + lane / 4 + 8 * r;
      if (p.lse && lane % 4 == 0 && row < tile.rows)
        p.lse[(long long)(tile.q + row) * p.list.heads + tile.head] =
            log_sum(all.most[r], all.sum[r], p.scale);
    }
    if (lane == 0) wait_stores_read<0>();
    __syncwarp();  // and every lane has read its totals
#pragma unroll
    for (int i = 0; i < sums; i += 8) {
      const u32 to =
          staging + i / 32 * (16 * row_bytes) + swizzled_offset(lane % 16, i / 4 % 8 + lane / 16);
      store_blocks(to, pack_halves<s.f16>(o[i] * inverse[0], o[i + 1] * inverse[0]),
                   pack_halves<s.f16>(o[i + 2] * inverse[1], o[i + 3] * inverse[1]),
                   pack_halves<s.f16>(o[i + 4] * inverse[0], o[i + 5] * inverse[0]),
                   pack_halves<s.f16>(o[i + 6] * inverse[1], o[i + 7] * inverse[1]));
    }
    publish_to_async();
    __syncwarp();
    if (lane == 0) store_rows(map, staging, tile.head, tile.q + warp * 16, tile.rows - warp * 16);
  }
};
