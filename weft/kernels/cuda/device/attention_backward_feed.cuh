// Of attention_backward.cu: what lies where in shared memory, the warp that loads it, and the two
// that see to the order of sums.
#pragma once

// Addresses in shared memory: of stage 0, of the first barrier, of the first index.
struct Places {
  u32 k, v, q, d_o, slopes, sums, terms, barriers, tiles;

  INLINE explicit Places(u32 start)
      : k(start),
        v(k + key_tile_bytes(s)),
        q(v + key_tile_bytes(s)),
        d_o(q + s.stages * query_block_bytes(s)),
        slopes(d_o + s.stages * query_block_bytes(s)),
        sums(slopes + 2 * slope_bytes),
        terms(sums + 2 * query_sum_bytes(s)),
        barriers(terms + s.stages * row_term_bytes),
        tiles(barriers + 8 * backward_barriers(s)) {}
  INLINE u32 barrier(int which) const { return barriers + 8 * which; }
  INLINE u32 q_full(int stage) const { return barrier(query_full + stage); }
  INLINE u32 q_empty(int stage) const { return barrier(query_full + s.stages + stage); }
  INLINE u32 d_o_full(int stage) const { return barrier(query_full + 2 * s.stages + stage); }
  INLINE u32 d_o_empty(int stage) const { return barrier(query_full + 3 * s.stages + stage); }
};
using Stage = RingPlace<s.stages>;
using Pair = RingPlace<2>;

// Everybody learns the index of the next tile from the feeder: a ring of two.
INLINE int await_tile(const Places& at, Pair& place) {
  barrier_wait(at.barrier(tile_full + place.stage), place.phase);
  const int index = load_int(at.tiles + 4 * place.stage);
  __syncwarp(__activemask());
  if (threadIdx.x % 32 == 0) barrier_arrive(at.barrier(tile_empty + place.stage));
  place.advance();
  return index;
}
INLINE void announce_tile(const Places& at, Pair& place, int index) {
  barrier_wait(at.barrier(tile_empty + place.stage), place.phase ^ 1);
  store_int(at.tiles + 4 * place.stage, index);
  barrier_arrive(at.barrier(tile_full + place.stage));
  place.advance();
}

// Calls step(head, q_block, steps left) for what a tile goes through, in order.
template <class F>
INLINE void each_step(const BackwardArguments& p, const BackwardTile& tile, F step) {
  const int heads = p.q_heads / p.kv_heads;
  int head = tile.kv_head * heads, m = tile.first;
#pragma unroll 1
  for (int left = heads * (p.q_blocks - tile.first); left-- > 0;) {
    step(head, m, left);
    if (++m == p.q_blocks) m = tile.first, ++head;
  }
}

INLINE int block_index(const BackwardArguments& p, const BackwardTile& tile, int head, int m) {
  return (tile.segment * p.q_heads + head) * p.q_blocks + m;
}

INLINE void load_rows(u32 to, const TensorMap* map, int rows, int head, int row, int segment,
                      u32 full) {
  for (int i = 0; i < atoms; ++i)
    load_box_4d(to + i * rows * row_bytes, map, i * 64, head, row, segment, full);
}

INLINE void feed(const Places& at, const TensorMap* q, const TensorMap* k, const TensorMap* v,
                 const TensorMap* d_o, const BackwardArguments& p) {
  Stage place;
  Pair tiles;
  u32 phase = 0;
  int index = blockIdx.x;
  for (; index < backward_tiles(p); phase ^= 1) {
    announce_tile(at, tiles, index);
    const BackwardTile tile = backward_tile(p, s, index);
    const auto load_keys = [&](u32 to, const TensorMap* map, int empty, int full) {
      barrier_wait(at.barrier(empty), phase ^ 1);
      barrier_expect_bytes(at.barrier(full), key_tile_bytes(s));
      load_rows(to, map, backward_keys, tile.kv_head, tile.keys * backward_keys, tile.segment,
                at.barrier(full));
    };
    bool first = true;
    each_step(p, tile, [&](int head, int m, int) {
      const u32 offset = place.stage * query_block_bytes(s);
      barrier_wait(at.q_empty(place.stage), place.phase ^ 1);
      barrier_expect_bytes(at.q_full(place.stage), query_block_bytes(s));
      load_rows(at.q + offset, q, backward_queries, head, m * backward_queries, tile.segment,
                at.q_full(place.stage));
      if (first) load_keys(at.v, v, values_empty, values_full);
      barrier_wait(at.d_o_empty(place.stage), place.phase ^ 1);
      barrier_expect_bytes(at.d_o_full(place.stage), query_block_bytes(s) + row_term_bytes);
      load_rows(at.d_o + offset, d_o, backward_queries, head, m * backward_queries, tile.segment,
                at.d_o_full(place.stage));
      load_bytes(at.terms + place.stage * row_term_bytes,
                 p.row_terms + (long long)block_index(p, tile, head, m) * (2 * backward_queries),
                 row_term_bytes, at.d_o_full(place.stage));
      if (first) load_keys(at.k, k, keys_empty, keys_full);
      first = false;
      place.advance();
    });
    // Not before: others wait for a tile that is taken.
    index = gridDim.x + atomicAdd(p.next_tile, 1);
  }
  announce_tile(at, tiles, index);
}

// Adds this tile's part of the gradients of queries to device memory when its turn has come, every
// second block: the first tile stores, the others add. Two warps do it, each for one place of the
// ring, and wait for the end of one while the workers fill the other. The tile with the first keys
// does it by itself, and is only told when.
INLINE void add_sums(const Places& at, const BackwardArguments& p, int place) {
  Pair tiles, turn;
  for (int index; (index = await_tile(at, tiles)) < backward_tiles(p);) {
    const BackwardTile tile = backward_tile(p, s, index);
    each_step(p, tile, [&](int head, int m, int) {
      const u32 phase = turn.phase;
      const bool mine = turn.stage == place;
      turn.advance();
      if (!mine) return;
      const long long block = block_index(p, tile, head, m);
      const int before = last_key_tile(p, s, m) - tile.keys;
      while (load_relaxed(p.added + block) < before) __nanosleep(20);
      load_acquire(p.added + block);
      barrier_arrive(at.barrier(turn_come + place));
      barrier_wait(at.barrier(sum_full + place), phase);
      if (tile.keys > 0) {
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
      if (tile.keys > 0) {
        wait_stores_done();
        fence_async();
        store_release(p.added + block, before + 1);
      }
    });
  }
}
