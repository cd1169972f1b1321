// Of attention_paged.cu: what a warpgroup does with a piece.
#pragma once
#include "weft/kernels/cuda/device/attention_paged_feed.cuh"
#include "weft/kernels/cuda/device/attention_products.cuh"
#include "weft/kernels/cuda/device/attention_softmax.cuh"

INLINE void release(u32 barrier) {
  if (threadIdx.x % 128 == 0) barrier_arrive(barrier);
}

struct Consumer {
  const Half& at;
  const PagedArguments& p;
  const int half, lane, warp;
  float o[sums], x[scores];
  u32 weights[scores / 2];
  Stage place;
  u32 q_phase = 0;

  INLINE Consumer(const Half& h, const PagedArguments& arguments, int which)
      : at(h), p(arguments), half(which), lane(threadIdx.x % 32), warp(threadIdx.x % 128 / 32) {}

  INLINE void meet() const { named_barrier(1 + half, 128); }
  INLINE int row(int r) const { return warp * 16 + lane / 4 + 8 * r; }

  // Rows of a block of values that were not loaded are left over from another block: zeros, lest a
  // weight of 0 meets a NaN.
  INLINE void clear_rows(u32 block, int from, int end) const {
    const float zeros[4] = {0, 0, 0, 0};
    for (int i = from * 8 * atoms + threadIdx.x % 128; i < end * 8 * atoms; i += 128) {
      const int row = i / (8 * atoms), rest = i % (8 * atoms);
      store_four(block + (rest / 8 * s.key_block + row) * row_bytes + rest % 8 * chunk_bytes,
                 zeros);
    }
    publish_to_async();
    meet();
  }
  INLINE void clear_unseen(const Piece& piece, int key) const {
    const u32 block = at.block(place.stage);
    if (s.windowed && piece.begin - key >= s.page_rows)
      clear_rows(block, 0, (piece.begin - key) / s.page_rows * s.page_rows);
    if (piece.keys - key < s.key_block) clear_rows(block, piece.keys - key, s.key_block);
  }
  // Whether a row of the tile does not see all of the block at `key`.
  INLINE bool needs_mask(const Piece& piece, int key) const {
    return piece.position < key + s.key_block - 1 ||
           (s.windowed && piece.position + p.tile_queries - p.window > key);
  }

  INLINE void block(const Piece& piece, int j, RowState& state) {
    const int key = piece.first_key + j * s.key_block;
    barrier_wait(at.full(place.stage), place.phase);
    wgmma_fence();
    issue_scores<paged_rows>(x, operand_descriptor(at.q, false),
                             operand_descriptor(at.block(place.stage), false));
    wgmma_wait<0>();
    settle(x);
    release(at.empty(place.stage));
    place.advance();
    if (warp * 16 < piece.rows) {  // rows of the other warps are nobody's
      if (s.capped) cap_scores(x, p.cap_log2);
      if (needs_mask(piece, key))
        mask_scores(
            x, seen_from(p, piece.position + row(0) / p.group, piece.position + row(1) / p.group,
                         piece.keys, key + lane % 4 * 2));
      float decay[2];
      raise_bases(x, state, decay, p.scale_log2);
      weigh(x, state, p.scale_log2);
      pack_weights(weights, x);
      if (j > 0) scale_sums(o, decay);
    }
    barrier_wait(at.full(place.stage), place.phase);
    clear_unseen(piece, key);
    issue_values(o, weights, values_descriptor(at.block(place.stage)), j > 0);
    wgmma_wait<0>();
    settle(o);
    release(at.empty(place.stage));
    place.advance();
  }

  INLINE float* part(int slot, int r) const {
    return p.parts + ((long long)slot * p.part_rows + r) * s.head_dim;
  }
  INLINE float* state_of(int slot, int r) const {
    return p.states + ((long long)slot * p.part_rows + r) * 4;
  }
  INLINE void write_part(const Piece& piece, const RowState& state) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float sum = over_quad_sum(state.sum[r]);
      if (row(r) >= piece.rows) continue;
      float2* to = (float2*)(part(piece.slot, row(r)) + lane % 4 * 2);
#pragma unroll
      for (int i = 0; i < sums / 4; ++i)
        to[4 * i] = make_float2(o[4 * i + 2 * r], o[4 * i + 2 * r + 1]);
      if (lane % 4 == 0) *(float2*)state_of(piece.slot, row(r)) = make_float2(state.most[r], sum);
    }
  }
  // Whether this was the tile's last chunk to be done.
  INLINE bool arrive(const Piece& piece) const {
    __threadfence();
    meet();
    if (threadIdx.x % 128 == 0)
      store_int(at.flag(), atomicAdd(p.arrived + piece.slot_first, 1) == piece.chunks - 1);
    meet();
    __threadfence();
    return load_int(at.flag());
  }

#include "weft/kernels/cuda/device/attention_paged_combine.cuh"

  INLINE void run(const int* before, int pieces) {
#pragma unroll 1
    for (;; q_phase ^= 1) {
      barrier_wait(at.q_full(), q_phase);
      const int index = load_int(at.number(q_phase));
      if (index >= pieces) break;
      const Piece piece = piece_at(p, before, index);
      RowState state;
      // Nothing here is kept from piece to piece: combine() needs the registers.
#pragma unroll
      for (int i = 0; i < scores; ++i) x[i] = 0, weights[i / 2] = 0;
#pragma unroll
      for (int i = 0; i < sums; ++i) o[i] = 0;
#pragma unroll 1
      for (int j = 0; j < piece.blocks; ++j) block(piece, j, state);
      release(at.q_empty());
      write_part(piece, state);
      if (arrive(piece)) combine(piece);
    }
  }
};
