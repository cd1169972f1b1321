// What a warpgroup does with a block of keys. Part of attention.cu.
#pragma once
#include "weft/kernels/cuda/device/attention_feed.cuh"
#include "weft/kernels/cuda/device/attention_products.cuh"
#include "weft/kernels/cuda/device/attention_softmax.cuh"

INLINE void release(u32 barrier) {
  if (threadIdx.x % 128 == 0) barrier_arrive(barrier);
}

// One warpgroup's work on the blocks of a tile.
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

  // Whether every row of this warpgroup sees the whole of block j.
  INLINE bool is_whole(int j) const {
    const int position = tile.position + group * 64, key = j * s.key_block;
    return keys_end(s, position, tile.keys) >= key + s.key_block &&
           (!s.windowed || position + 63 - p.window < key);
  }
};
