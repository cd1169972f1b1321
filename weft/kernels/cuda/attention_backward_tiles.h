// The schedule of attention's backward pass on Hopper. Compiled for the host and by NVRTC: no
// includes.
#pragma once

namespace weft::kernels::cuda {

// A plain record; the kernel is compiled once for each.
struct BackwardSchedule {
  int head_dim = 128;  // 64 or 128
  int stages = 2;      // blocks of queries in flight
  bool causal = true;
  bool operator==(const BackwardSchedule&) const = default;
};

// A tile is 128 keys of one head, 64 for each of two warpgroups; it goes through the queries that
// see it in blocks of 64. Both are part of what the numbers mean.
constexpr int backward_keys = 128, backward_queries = 64;

constexpr int key_tile_bytes(const BackwardSchedule& s) {
  return backward_keys * s.head_dim * 2;
}
constexpr int query_block_bytes(const BackwardSchedule& s) {
  return backward_queries * s.head_dim * 2;
}
constexpr int slope_bytes = backward_keys * backward_queries * 2;  // gradients of scores, bf16
constexpr int row_term_bytes = 2 * backward_queries * 4;           // of a block of queries
// Of a block of queries' gradient in f32, a place of a ring of two; the results of keys and values
// pass through it too. A warp's part of either is as large.
constexpr int query_sum_bytes(const BackwardSchedule& s) {
  return backward_queries * s.head_dim * 4;
}
constexpr int warp_part_bytes(const BackwardSchedule& s) {
  return query_sum_bytes(s) / 8;
}

// Barriers, 8 bytes each: rings of two for tiles and for sums of queries; keys and values; stages.
enum BackwardBarrier : int {
  tile_full = 0,
  tile_empty = 2,
  turn_come = 4,
  sum_full = 6,
  sum_empty = 8,
  keys_full = 10,
  keys_empty,
  values_full,
  values_empty,
  query_full,
};
constexpr int backward_barriers(const BackwardSchedule& s) {
  return query_full + 4 * s.stages;
}
// Alignment, keys and values, ring of queries and gradients of results, two places of slopes and
// of sums, ring of row terms, barriers, two indices of tiles.
constexpr int shared_bytes(const BackwardSchedule& s) {
  return 1024 + 2 * key_tile_bytes(s) + s.stages * (2 * query_block_bytes(s) + row_term_bytes) +
         2 * slope_bytes + 2 * query_sum_bytes(s) + 8 * backward_barriers(s) + 8;
}

// Sizes and pointers of one call: segments of equal lengths, one behind the other.
struct BackwardArguments {
  int segments, q_len, kv_len, q_heads, kv_heads;
  int q_blocks;             // of a segment
  int section;              // heads worked on together, so that what they share stays in L2
  float scale, scale_log2;  // scale / ln 2
  const float* row_terms;   // [segments, q_heads, q_blocks, 2, 64], see attention_row_terms.cu
  float* query_sums;        // of dq so far: as row_terms; in a block, as the threads hold them
  int* added;               // [segments, q_heads, q_blocks]: blocks of keys added so far
  int* next_tile;
  unsigned short* dq;
  long long dq_row_stride, dq_head_stride;
};

// A tile, and the first block of queries that sees it. The last keys of all heads of a section go
// first: the gradient of a query takes its terms in this order, each from a tile that has started
// before, and with causal masks well before.
struct BackwardTile {
  int keys, kv_head, segment, first;  // keys in units of tiles
};
constexpr int key_tiles(const BackwardArguments& p) {
  return (p.kv_len + backward_keys - 1) / backward_keys;
}
constexpr int backward_tiles(const BackwardArguments& p) {
  return key_tiles(p) * p.kv_heads * p.segments;
}
constexpr BackwardTile backward_tile(const BackwardArguments& p, const BackwardSchedule& s,
                                     int index) {
  const int tiles = key_tiles(p), pairs = p.kv_heads * p.segments;
  const int begin = index / (p.section * tiles) * p.section;
  const int width = pairs - begin < p.section ? pairs - begin : p.section;
  const int rest = index - begin * tiles;
  const int pair = begin + rest % width, keys = tiles - 1 - rest / width;
  const int row = keys * backward_keys - (p.kv_len - p.q_len);
  return {keys, pair % p.kv_heads, pair / p.kv_heads,
          s.causal && row > 0 ? row / backward_queries : 0};
}
// The last keys that a block of queries sees: the first that are added to its gradient.
constexpr int last_key_tile(const BackwardArguments& p, const BackwardSchedule& s, int q_block) {
  const int end = (q_block + 1) * backward_queries;
  const int row = (end < p.q_len ? end : p.q_len) - 1;
  return (s.causal ? p.kv_len - p.q_len + row : p.kv_len - 1) / backward_keys;
}

}  // namespace weft::kernels::cuda
