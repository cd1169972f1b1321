// What lies where in shared memory, and the warp that loads it. Part of attention.cu.
#pragma once

// Addresses in shared memory; k and v of stage 0. Barriers: full and empty, 8 bytes a stage.
struct Places {
  u32 q, k, v, total, q_full, q_empty, k_full, k_empty, v_full, v_empty, tile;
};
using Stage = RingPlace<s.stages>;

INLINE void load_rows(u32 to, const TensorMap* map, int rows, int head, int row, int segment,
                      u32 full) {
  barrier_expect_bytes(full, rows * s.head_dim * 2);
  for (int i = 0; i < atoms; ++i)
    load_box_4d(to + i * rows * row_bytes, map, i * 64, head, row, segment, full);
}

// The consumers learn the index of their tile with its queries; two places, written in turn.
INLINE void announce(const Places& at, u32 q_phase, int index) {
  barrier_wait(at.q_empty, q_phase ^ 1);
  store_int(at.tile + 4 * q_phase, index);
}

INLINE void produce(const Places& at, const TensorMap* q, const TensorMap* k, const TensorMap* v,
                    const AttentionArguments& p) {
  Stage place;
  u32 q_phase = 0;
  int index = blockIdx.x;
  for (; index < attention_tiles(p); q_phase ^= 1) {
    const int next = gridDim.x + atomicAdd(p.next_tile, 1);
    const AttentionTile tile = attention_tile(p, s, index);
    const int kv_head = tile.head / (p.q_heads / p.kv_heads);
#pragma unroll 1
    for (int j = 0; j < tile.blocks; ++j, place.advance()) {
      const u32 offset = place.stage * key_bytes(s), barrier = place.stage * 8;
      barrier_wait(at.k_empty + barrier, place.phase ^ 1);
      load_rows(at.k + offset, k, s.key_block, kv_head, j * s.key_block, tile.segment,
                at.k_full + barrier);
      if (j == 0) {
        announce(at, q_phase, index);
        load_rows(at.q, q, attention_rows, tile.head, tile.q, tile.segment, at.q_full);
      }
      barrier_wait(at.v_empty + barrier, place.phase ^ 1);
      load_rows(at.v + offset, v, s.key_block, kv_head, j * s.key_block, tile.segment,
                at.v_full + barrier);
    }
    index = next;
  }
  announce(at, q_phase, index);
  barrier_arrive(at.q_full);
}
