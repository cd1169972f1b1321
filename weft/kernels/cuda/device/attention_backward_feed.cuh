// Of attention_backward.cu: what lies where in shared memory, the warp that loads it, and the two
// that see to the order of sums.
#pragma once
#include "weft/kernels/cuda/device/attention_rows.cuh"

// Addresses in shared memory: of stage 0, of the first tile, of the first barrier.
struct Places {
  u32 k, v, q, d_o, slopes, sums, terms, tiles, barriers;

  INLINE explicit Places(u32 start)
      : k(start),
        v(k + key_tile_bytes(s)),
        q(v + key_tile_bytes(s)),
        d_o(q + s.stages * query_block_bytes(s)),
        slopes(d_o + s.stages * query_block_bytes(s)),
        sums(slopes + 2 * slope_bytes),
        terms(sums + 2 * query_sum_bytes(s)),
        tiles(terms + s.stages * row_term_bytes),
        barriers(tiles + 2 * backward_tile_ints * 4) {}
  INLINE u32 barrier(int which) const { return barriers + 8 * which; }
  INLINE u32 q_full(int stage) const { return barrier(query_full + stage); }
  INLINE u32 q_empty(int stage) const { return barrier(query_full + s.stages + stage); }
  INLINE u32 d_o_full(int stage) const { return barrier(query_full + 2 * s.stages + stage); }
  INLINE u32 d_o_empty(int stage) const { return barrier(query_full + 3 * s.stages + stage); }
};
using Stage = RingPlace<s.stages>;
using Pair = RingPlace<2>;

// Everybody learns the next tile from the feeder: a ring of two, where it stays until all are done
// with it. No tile but its head below 0: that was the last.
INLINE u32 await_tile(const Places& at, const Pair& place) {
  barrier_wait(at.barrier(tile_full + place.stage), place.phase);
  return at.tiles + place.stage * (backward_tile_ints * 4);
}
INLINE BackwardTile tile_from(u32 from) {
  BackwardTile tile;
  int unused[2];
  load_ints(from, tile.key, tile.keys, tile.kv, tile.head);
  load_ints(from + 16, tile.q, tile.q_len, tile.q_blocks, tile.position);
  load_ints(from + 32, tile.first, tile.end, unused[0], unused[1]);
  return tile;
}
// By one thread of each reading warp.
INLINE void release_tile(const Places& at, const Pair& place) {
  barrier_arrive(at.barrier(tile_empty + place.stage));
}
INLINE void announce_tile(const Places& at, Pair& place, const BackwardTile& tile) {
  barrier_wait(at.barrier(tile_empty + place.stage), place.phase ^ 1);
  const u32 to = at.tiles + place.stage * (backward_tile_ints * 4);
  store_ints(to, tile.key, tile.keys, tile.kv, tile.head);
  store_ints(to + 16, tile.q, tile.q_len, tile.q_blocks, tile.position);
  store_ints(to + 32, tile.first, tile.end, 0, 0);
  barrier_arrive(at.barrier(tile_full + place.stage));
  place.advance();
}

// Calls step(query head, q_block, whether it is the last) for what a tile goes through, in order.
template <class F>
INLINE void each_step(const BackwardArguments& p, const BackwardTile& tile, F step) {
  const int heads = p.q_heads / p.list.heads;
  if (tile.first == tile.end) return;
  const int first = s.causal ? tile.first : 0;
  const int end = (tile.head + 1) * heads;
#pragma unroll 1
  for (int head = tile.head * heads, m = first; head < end;) {
    step(head, m, m + 1 == tile.end && head + 1 == end);
    if (++m == tile.end) m = first, ++head;
  }
}

INLINE long long block_index(const BackwardArguments& p, const BackwardTile& tile, int head,
                             int m) {
  return (long long)(tile.q_blocks + m) * p.q_heads + head;
}

// Whether the order has a tile at `index`; its key may lie behind the segment's last: nothing to
// do.
INLINE bool tile_at(const BackwardArguments& p, int index, BackwardTile& tile) {
  if (index < order_length(p.list)) tile = backward_tile(p, s, index);
  return index < order_length(p.list);
}

struct Feeder {
  const Places& at;
  const TensorMap *q, *k, *v, *d_o;
  const BackwardArguments& p;
  Stage place;
  u32 phase = 0;

  INLINE void load_keys(const BackwardTile& tile, u32 to, const TensorMap* map, int empty,
                        int full) const {
    barrier_wait(at.barrier(empty), phase ^ 1);
    barrier_expect_bytes(at.barrier(full), key_tile_bytes(s));
    load_rows<backward_keys>(to, map, tile.head, tile.kv + tile.key, tile.keys - tile.key,
                             at.barrier(full));
  }
  INLINE void load_step(const BackwardTile& tile, int head, int m, bool first) {
    const u32 offset = place.stage * query_block_bytes(s);
    const int row = m * backward_queries;
    barrier_wait(at.q_empty(place.stage), place.phase ^ 1);
    barrier_expect_bytes(at.q_full(place.stage), query_block_bytes(s));
    load_rows<backward_queries>(at.q + offset, q, head, tile.q + row, tile.q_len - row,
                                at.q_full(place.stage));
    if (first) load_keys(tile, at.v, v, values_empty, values_full);
    barrier_wait(at.d_o_empty(place.stage), place.phase ^ 1);
    barrier_expect_bytes(at.d_o_full(place.stage), query_block_bytes(s) + row_term_bytes);
    load_rows<backward_queries>(at.d_o + offset, d_o, head, tile.q + row, tile.q_len - row,
                                at.d_o_full(place.stage));
    load_bytes(at.terms + place.stage * row_term_bytes,
               p.row_terms + block_index(p, tile, head, m) * (2 * backward_queries), row_term_bytes,
               at.d_o_full(place.stage));
    if (first) load_keys(tile, at.k, k, keys_empty, keys_full);
    place.advance();
  }
  INLINE void run() {
    Pair tiles;
    BackwardTile tile;
    // The next index is not taken before all of this tile is loaded: others wait for a tile that is
    // taken.
    for (int index = blockIdx.x; tile_at(p, index, tile);
         index = gridDim.x + atomicAdd(p.next_tile, 1)) {
      if (tile.key > 0 && tile.key >= tile.keys) continue;
      announce_tile(at, tiles, tile);
      bool first = true;
      each_step(p, tile, [&](int head, int m, int) {
        load_step(tile, head, m, first);
        first = false;
      });
      if (!first) phase ^= 1;
    }
    tile.head = -1;
    announce_tile(at, tiles, tile);
  }
};

// Adds this tile's part of the gradients of queries to device memory when its turn has come, every
// second block: the first tile stores, the others add. Two warps do it, each for one place of the
// ring, and wait for the end of one while the workers fill the other. The tile with the first keys
// that a block sees does it by itself, and is only told when.
INLINE void add_sums(const Places& at, const BackwardArguments& p, int place) {
  Pair tiles, turn;
  for (;; tiles.advance()) {
    const BackwardTile tile = tile_from(await_tile(at, tiles));
    if (tile.head < 0) break;
    each_step(p, tile, [&](int head, int m, int) {
      const u32 phase = turn.phase;
      const bool mine = turn.stage == place;
      turn.advance();
      if (!mine) return;
      const long long block = block_index(p, tile, head, m);
      const int keys = tile.key / backward_keys;
      const int before = last_key_tile(tile, s, m) - keys;
      const bool last = keys == first_key_tile(p, tile, s, m);
      while (load_relaxed(p.added + block) < before) __nanosleep(20);
      load_acquire(p.added + block);
      if (last) barrier_arrive(at.barrier(turn_come + place));
      barrier_wait(at.barrier(sum_full + place), phase);
      if (!last) {
        fence_async();
        float* to = p.query_sums + block * (query_sum_bytes(s) / 4);
        const u32 from = at.sums + place * query_sum_bytes(s);
        if (before == 0)
          store_bytes(to, from, query_sum_bytes(s));
        else
          add_floats(to, from, query_sum_bytes(s));
        commit_stores();
        wait_stores_read<0>();
      }
      barrier_arrive(at.barrier(sum_empty + place));
      if (!last) {
        wait_stores_done();
        fence_async();
        store_release(p.added + block, before + 1);
      }
    });
    release_tile(at, tiles);
  }
}
