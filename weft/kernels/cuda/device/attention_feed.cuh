// What lies where in shared memory, and the warp that loads it. Part of attention.cu.
#pragma once
#include "weft/kernels/cuda/device/attention_rows.cuh"

// Addresses in shared memory; k and v of stage 0. Barriers: full and empty, 8 bytes a stage.
struct Places {
  u32 q, k, v, total, tiles, q_full, q_empty, k_full, k_empty, v_full, v_empty;

  INLINE explicit Places(u32 start)
      : q(start),
        k(q + query_bytes(s)),
        v(k + s.stages * key_bytes(s)),
        total(v + s.stages * key_bytes(s)),
        tiles(total + total_bytes(s)),
        q_full(tiles + 2 * attention_tile_ints * 4),
        q_empty(q_full + 8),
        k_full(q_empty + 8),
        k_empty(k_full + 8 * s.stages),
        v_full(k_empty + 8 * s.stages),
        v_empty(v_full + 8 * s.stages) {}
};
using Stage = RingPlace<s.stages>;

// The consumers learn their tile with its queries; two places, written in turn.
INLINE void announce(const Places& at, u32 q_phase, const AttentionTile& tile) {
  barrier_wait(at.q_empty, q_phase ^ 1);
  const u32 to = at.tiles + q_phase * (attention_tile_ints * 4);
  store_ints(to, tile.q, tile.rows, tile.kv, tile.keys);
  store_ints(to + 16, tile.position, tile.head, tile.first, tile.end);
}
// Tells the compiler that all lanes of a warp have the same value, where registers of their own
// are wanting.
INLINE int same(int x) {
  return overlaps(s) ? __shfl_sync(~0u, x, 0) : x;
}
INLINE AttentionTile announced(const Places& at, u32 q_phase) {
  const u32 from = at.tiles + q_phase * (attention_tile_ints * 4);
  AttentionTile tile;
  load_ints(from, tile.q, tile.rows, tile.kv, tile.keys);
  load_ints(from + 16, tile.position, tile.head, tile.first, tile.end);
  return {same(tile.q),        same(tile.rows), same(tile.kv),    same(tile.keys),
          same(tile.position), same(tile.head), same(tile.first), same(tile.end)};
}

INLINE int claim(const AttentionArguments& p) {
  return gridDim.x + atomicAdd(p.next_tile, 1);
}
// The tile at a place of the order or the next after it; rows 0 behind the last.
INLINE AttentionTile tile_from(const AttentionArguments& p, int index) {
  AttentionTile tile{};
  for (; index < order_length(p.list); index = claim(p)) {
    tile = attention_tile(p, s, index);
    if (tile.rows > 0) return tile;
  }
  tile.rows = 0;
  return tile;
}

struct Feeder {
  const Places& at;
  const TensorMap *q, *k, *v;
  const AttentionArguments& p;
  Stage place;

  // Block j of keys or values, to its ring.
  INLINE void load_block(const AttentionTile& tile, int j, const TensorMap* map, u32 ring, u32 full,
                         u32 empty) const {
    const int key = j * s.key_block, kv_head = tile.head / (p.list.heads / p.kv_heads);
    barrier_wait(empty + 8 * place.stage, place.phase ^ 1);
    barrier_expect_bytes(full + 8 * place.stage, key_bytes(s));
    load_rows<s.key_block>(ring + place.stage * key_bytes(s), map, kv_head, tile.kv + key,
                           tile.keys - key, full + 8 * place.stage);
  }
  INLINE void load_keys(const AttentionTile& tile, int j) const {
    load_block(tile, j, k, at.k, at.k_full, at.k_empty);
  }
  INLINE void load_values(const AttentionTile& tile, int j) {
    load_block(tile, j, v, at.v, at.v_full, at.v_empty);
    place.advance();
  }
  INLINE void load_queries(const AttentionTile& tile, u32 q_phase) const {
    announce(at, q_phase, tile);
    barrier_expect_bytes(at.q_full, query_bytes(s));
    load_rows<tile_rows(s)>(at.q, q, tile.head, tile.q, tile.rows, at.q_full);
  }
  INLINE void run() {
    u32 q_phase = 0;
    AttentionTile tile = tile_from(p, blockIdx.x);
    for (; tile.rows > 0; q_phase ^= 1) {
      // Queries come from memory, and only when the tile before does not need its own any more.
      if (overlaps(s)) prefetch_rows<tile_rows(s)>(q, tile.head, tile.q, tile.rows);
      int next = overlaps(s) ? 0 : claim(p);
      load_keys(tile, tile.first);
      load_queries(tile, q_phase);
      load_values(tile, tile.first);
      if (overlaps(s)) next = claim(p);  // not before: registers
#pragma unroll 1
      for (int j = tile.first + 1; j < tile.end; ++j) load_keys(tile, j), load_values(tile, j);
      tile = tile_from(p, next);
    }
    announce(at, q_phase, tile);
    barrier_arrive(at.q_full);
  }
};
