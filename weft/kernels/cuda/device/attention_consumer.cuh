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
  int group, position, column;  // of this thread's first row and first key in a block
  u64 q, k, v;                  // descriptors of stage 0
  u32 total;                    // of this thread
  float o[sums], x[scores];
  u32 weights[scores / 2];  // softmax of a block as bf16, in the layout of operand A
  RowState chunk, all;
  Stage place;

  INLINE void issue_scores(int stage) {
    ::issue_scores<attention_rows>(x, q, k + (stage * key_bytes(s) >> 4));
  }
  INLINE void issue_values(int stage, bool add) {
    ::issue_values(o, weights, v + (stage * key_bytes(s) >> 4), add);
  }
  INLINE void pack_weights() {
#pragma unroll
    for (int i = 0; i < scores / 2; ++i) weights[i] = pack_bf16(x[2 * i], x[2 * i + 1]);
  }

  // The first block: scores, softmax.
  template <bool masked>
  INLINE void begin(int blocks) {
    barrier_wait(at.k_full + 8 * place.stage, place.phase);
    wgmma_fence();
    issue_scores(place.stage);
    wgmma_wait<0>();
    settle(x);
    release(at.k_empty + 8 * place.stage);
    if (blocks == 1) release(at.q_empty);
    if (masked) mask_scores(x, position, position + 8, column, p.kv_len);
    float decay[2];
    softmax_block(x, chunk, decay, p.scale_log2);
    pack_weights();
  }

  // Scores of block j with the products of block j - 1.
  template <bool masked>
  INLINE void step(int j, int blocks) {
    const Stage before = place;
    place.advance();
    const bool new_chunk = j % chunk_blocks == 0, was_new = (j - 1) % chunk_blocks == 0;
    barrier_wait(at.k_full + 8 * place.stage, place.phase);
    named_barrier(2 + group, 256);
    wgmma_fence();
    issue_scores(place.stage);
    barrier_wait(at.v_full + 8 * before.stage, before.phase);
    issue_values(before.stage, !was_new);
    named_barrier_arrive(3 - group, 256);
    wgmma_wait<1>();
    settle(x);
    release(at.k_empty + 8 * place.stage);
    if (j == blocks - 1) release(at.q_empty);
    if (masked) mask_scores(x, position, position + 8, column + j * s.key_block, p.kv_len);
    RowState ended = chunk;
    if (new_chunk) chunk = RowState();
    float decay[2];
    softmax_block(x, chunk, decay, p.scale_log2);
    wgmma_wait<0>();
    settle(o);
    release(at.v_empty + 8 * before.stage);
    pack_weights();
    if (new_chunk) {
      end_chunk(ended, j == chunk_blocks);
    } else {
#pragma unroll
      for (int i = 0; i < sums; ++i) o[i] *= decay[i / 2 % 2];
    }
  }

  INLINE void end_chunk(RowState& ended, bool first) {
    if (first) {  // the tile before may still be read from there
      if (threadIdx.x % 32 == 0) wait_stores_read<0>();
      __syncwarp();
    }
    add_chunk(o, ended, all, first, total, p.scale_log2);
#pragma unroll
    for (int i = 0; i < sums; i += 4) store_four(total + i / 4 * 512, o + i);
  }

  INLINE void finish(int blocks) {
    barrier_wait(at.v_full + 8 * place.stage, place.phase);
    issue_values(place.stage, (blocks - 1) % chunk_blocks != 0);
    wgmma_wait<0>();
    settle(o);
    release(at.v_empty + 8 * place.stage);
    place.advance();
    add_chunk(o, chunk, all, blocks <= chunk_blocks, total, p.scale_log2);
  }

  INLINE void run(const AttentionTile& tile) {
    const int row = tile.q + group * 64;
    position = p.kv_len - p.q_len + row + threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;
    chunk = all = RowState();
    // Blocks before this one are seen whole by every row.
    const int first_seen = s.causal ? min(p.kv_len, p.kv_len - p.q_len + row + 1) : p.kv_len;
    const int whole = first_seen / s.key_block;
    if (whole > 0)
      begin<false>(tile.blocks);
    else
      begin<true>(tile.blocks);
    int j = 1;
#pragma unroll 1
    for (; j < min(whole, tile.blocks); ++j) step<false>(j, tile.blocks);
#pragma unroll 1
    for (; j < tile.blocks; ++j) step<true>(j, tile.blocks);
    finish(tile.blocks);
  }

  // o / sum through this warp's part of `total` to memory, and the logarithm of the sum.
  INLINE void write(const AttentionTile& tile, const TensorMap* map) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32;
    const int row = tile.q + group * 64 + warp * 16;
    const u32 staging = total - lane * 16;
    float inverse[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      inverse[r] = inverse_sum(all.sum[r]);
      const int at_row = row + lane / 4 + 8 * r;
      if (p.lse && lane % 4 == 0 && at_row < p.q_len)
        p.lse[((long long)tile.segment * p.q_len + at_row) * p.q_heads + tile.head] =
            log_sum(all.most[r], all.sum[r], p.scale);
    }
    if (lane == 0) wait_stores_read<0>();
    __syncwarp();  // and every lane has read its totals
#pragma unroll
    for (int i = 0; i < sums; i += 8) {
      const u32 to =
          staging + i / 32 * store_unit + swizzled_offset(lane % 16, i / 4 % 8 + lane / 16);
      store_blocks(to, pack_bf16(o[i] * inverse[0], o[i + 1] * inverse[0]),
                   pack_bf16(o[i + 2] * inverse[1], o[i + 3] * inverse[1]),
                   pack_bf16(o[i + 4] * inverse[0], o[i + 5] * inverse[0]),
                   pack_bf16(o[i + 6] * inverse[1], o[i + 7] * inverse[1]));
    }
    publish_to_async();
    __syncwarp();
    if (lane == 0 && row < p.q_len) {
      for (int i = 0; i < atoms; ++i)
        store_box_4d(map, staging + i * store_unit, i * 64, tile.head, row, tile.segment);
      commit_stores();
    }
  }
  static constexpr u32 store_unit = 16 * row_bytes;
};
