// What a warpgroup does with a tile of queries. Part of attention.cu.
#pragma once
#include "weft/kernels/cuda/device/attention_feed.cuh"
#include "weft/kernels/cuda/device/attention_products.cuh"
#include "weft/kernels/cuda/device/attention_softmax.cuh"

INLINE void release(u32 barrier) {
  if (threadIdx.x % 128 == 0) barrier_arrive(barrier);
}

// One warpgroup's work, tile by tile.
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
  u32 q_phase = 0;  // of the queries of this tile
  AttentionTile tile;
  int own;  // overlapping: the end of the blocks that this warpgroup sees

  INLINE Consumer(const Places& places, const AttentionArguments& arguments, int g)
      : at(places),
        p(arguments),
        group(g),
        lane(threadIdx.x % 32),
        warp(overlaps(s) ? same(threadIdx.x / 32) : g * 4 + threadIdx.x % 128 / 32),
        q(operand_descriptor(at.q + g * 64 * row_bytes, false)),
        k(operand_descriptor(at.k, false)),
        v(values_descriptor(at.v)),
        total(at.total + warp * (16 * s.head_dim * 4) + lane * 16) {}

  // Read anew where three warpgroups leave no registers to keep them. (Users take a reference to
  // one or the other: with a copy of `lane` the assembler orders heads of 128 otherwise.)
  INLINE int lane_now() const { return overlaps(s) ? lane_again() : lane; }
  INLINE u32 total_of(int lane_now) const {
    return overlaps(s) ? at.total + warp * (16 * s.head_dim * 4) + lane_now * 16 : total;
  }

  INLINE void issue_scores() {
    ::issue_scores<tile_rows(s)>(x, q, k + (place.stage * key_bytes(s) >> 4));
  }
  INLINE void issue_values(int stage, bool add) {
    ::issue_values(o, weights, v + (stage * key_bytes(s) >> 4), add);
  }
  INLINE void scores_done(int j) {
    settle(x);
    release(at.k_empty + 8 * place.stage);
    if (j == end() - 1) release(at.q_empty);
  }
  INLINE void values_done(int stage) {
    settle(o);
    release(at.v_empty + 8 * stage);
  }
  // Of block j's raw scores.
  template <bool masked>
  INLINE void start_softmax(int j, float (&decay)[2]) {
    if (s.capped) cap_scores(x, p.cap_log2);
    if (masked) {
      const int now = lane_now(), &lane = overlaps(s) ? now : this->lane;
      const int position = tile.position + warp * 16 + lane / 4;
      mask_scores(x,
                  seen_from(p, position, position + 8, tile.keys, j * s.key_block + lane % 4 * 2));
    }
    raise_bases(x, chunk, decay, p.scale_log2);
  }

  // Behind the last block of this warpgroup.
  INLINE int end() const { return overlaps(s) ? own : tile.end; }
  INLINE void wait_turn() const { named_barrier(2 + group, 256); }
  INLINE void pass_turn() const { named_barrier_arrive(2 + (group + 1) % s.groups, 256); }

  // A tile's first scores, whose queries are there.
  INLINE void issue_first_scores() {
    barrier_wait(at.k_full + 8 * place.stage, place.phase);
    wgmma_fence();
    issue_scores();
  }
  // Takes the tile that they are of.
  INLINE void first_scores_done() {
    tile = announced(at, q_phase);
    own = own_end(s, tile, group);
    wgmma_wait<0>();
    scores_done(tile.first);
  }
  // Waits for the queries of a tile; false: there is none.
  INLINE bool comes(u32 phase) const {
    barrier_wait(at.q_full, phase);
    return announced(at, phase).rows != 0;
  }
  template <bool masked>
  INLINE void begin() {
    if (!overlaps(s)) {
      issue_first_scores();
      wgmma_wait<0>();
      scores_done(tile.first);
    }
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
    wait_turn();
    wgmma_fence();
    issue_scores();
    barrier_wait(at.v_full + 8 * before.stage, before.phase);
    issue_values(before.stage, !starts_sums(j - 1));
    pass_turn();
    wgmma_wait<1>();
    scores_done(j);
    RowState ended = chunk;
    if (new_chunk) chunk = RowState();
    float decay[2];
    start_softmax<masked>(j, decay);
    wgmma_wait<0>();
    values_done(before.stage);
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
    const int lane = lane_now();
    const u32 total = total_of(lane);
    if (first) {  // the tile before may still be read from there
      if (lane == 0) wait_stores_read<0>();
      __syncwarp();
    }
    add_chunk(o, ended, all, first, total, p.scale_log2);
#pragma unroll
    for (int i = 0; i < sums; i += 4) store_four(total + i / 4 * 512, o + i);
  }

  // A block that only other warpgroups see.
  INLINE void pass_block() {
    barrier_wait(at.k_full + 8 * place.stage, place.phase);
    wait_turn();
    pass_turn();
    release(at.k_empty + 8 * place.stage);
    barrier_wait(at.v_full + 8 * place.stage, place.phase);
    release(at.v_empty + 8 * place.stage);
    place.advance();
  }
  // The products of the last block, beneath them and what follows the first scores of the next
  // tile; false: there is none.
  INLINE bool finish_beneath(const TensorMap* map) {
    const int j = end() - 1;
    const Stage last = place;
    place.advance();
    if (end() < tile.end) pass_block();
    const bool first = is_first_chunk(j), add = !starts_sums(j);
    barrier_wait(at.v_full + 8 * last.stage, last.phase);
    wait_turn();
    issue_values(last.stage, add);
    const bool more = comes(q_phase ^ 1);
    if (more) {
      issue_first_scores();
      pass_turn();
      wgmma_wait<1>();
      values_done(last.stage);
      end_tile(map, first);
      q_phase = same(q_phase ^ 1);
      first_scores_done();
    } else {  // apart: the assembler wants to see which products are under way
      pass_turn();
      wgmma_wait<0>();
      values_done(last.stage);
      end_tile(map, first);
    }
    return more;
  }
  INLINE void end_tile(const TensorMap* map, bool first) {
    add_chunk(o, chunk, all, first, total_of(lane_now()), p.scale_log2);
    write(map);
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
      for (++j; j < end(); ++j)
        if (is_whole(j))
          step<false>(j);
        else
          step<true>(j);
    } else {
#pragma unroll 1
      for (++j; j < end() && is_whole(j); ++j) step<false>(j);
#pragma unroll 1
      for (; j < end(); ++j) step<true>(j);
    }
  }

  // o / sum through this warp's part of `total` to memory, and the logarithm of the sum.
  INLINE void write(const TensorMap* map) {
    tile = announced(at, q_phase);  // again: for want of registers not all of it was kept
    const int now = lane_now(), &lane = overlaps(s) ? now : this->lane;
    const u32 staging = total_of(lane) - lane * 16;
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

  // All tiles, each by itself.
  INLINE void run_apart(const TensorMap* map) {
    for (u32 phase = 0;; phase ^= 1) {
      barrier_wait(at.q_full, phase);
      tile = announced(at, phase);
      if (tile.rows == 0) break;
      run();
      barrier_wait(at.v_full + 8 * place.stage, place.phase);
      issue_values(place.stage, !starts_sums(end() - 1));
      wgmma_wait<0>();
      values_done(place.stage);
      place.advance();
      q_phase = phase;
      end_tile(map, is_first_chunk(end() - 1));
    }
  }
  // All tiles, each beneath the end of the one before.
  INLINE void run_overlapping(const TensorMap* map) {
    bool more = comes(0);
    if (more) {
      issue_first_scores();
      first_scores_done();
    }
#pragma unroll 1
    while (more) {
      run();
      more = finish_beneath(map);
    }
  }
};
