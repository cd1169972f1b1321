// The schedule of attention's backward pass on Hopper. Compiled for the host and by NVRTC: no
// includes but our own.
#pragma once
#include "weft/kernels/cuda/attention_segment_tiles.h"

namespace weft::kernels::cuda {

// A plain record; the kernel is compiled once for each.
struct BackwardSchedule {
  int head_dim = 128;                                                 // 64 or 128
  int stages = 2;                                                     // blocks of queries in flight
  bool causal = true, windowed = false, capped = false, f16 = false;  // as AttentionSchedule's
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
constexpr int backward_tile_ints = 12;
// Alignment, keys and values, ring of queries and gradients of results, two places of slopes and
// of sums, ring of row terms, two tiles, barriers.
constexpr int shared_bytes(const BackwardSchedule& s) {
  return 1024 + 2 * key_tile_bytes(s) + s.stages * (2 * query_block_bytes(s) + row_term_bytes) +
         2 * slope_bytes + 2 * query_sum_bytes(s) + 2 * backward_tile_ints * 4 +
         8 * backward_barriers(s);
}

// Sizes and pointers of one call.
struct BackwardArguments {
  SegmentList list;  // of key heads
  int q_heads, window;
  float slope_scale;           // of q k
  float scale_log2, cap_log2;  // as AttentionArguments'
  const float* row_terms;      // [q_blocks, q_heads, 2, 64], see attention_row_terms.cu
  float* query_sums;           // of dq so far: as row_terms; in a block, as the threads hold them
  int* added;                  // [q_blocks, q_heads]: tiles of keys added so far
  int* next_tile;
  unsigned short* dq;
  long long dq_row_stride, dq_head_stride;
};

// A tile: 128 keys of one head from `key` on, of a segment's `keys` that begin at row kv; and
// the blocks [first, end) of the segment's queries that see them. Query i stands at position + i.
// The first tile has all queries that see no key at all, too.
struct BackwardTile {
  int key, keys, kv, head;
  int q, q_len, q_blocks, position;
  int first, end;
};
constexpr int query_blocks(int q_len) {
  return (q_len + backward_queries - 1) / backward_queries;
}
constexpr BackwardTile backward_tile(const BackwardArguments& p, const BackwardSchedule& s,
                                     int index) {
  const PlaceInOrder at = place_in_order(p.list, index);
  const KernelSegment& x = p.list.segments[at.segment];
  const int key = at.tile * backward_keys, position = x.kv_len - x.q_len;
  const int last = (key + backward_keys < x.kv_len ? key + backward_keys : x.kv_len) - 1;
  const int first = s.causal && key > 0 && key > position ? (key - position) / backward_queries : 0;
  const int rows = s.windowed ? clamped(last + p.window - position, 0, x.q_len) : x.q_len;
  const int end = query_blocks(rows);
  return {key,        x.kv_len,  x.kv_begin,
          at.head,    x.q_begin, x.q_len,
          x.q_blocks, position,  first < end ? first : end,
          end};
}
// The tiles of keys that a block of queries sees, [first, last]: the last are added to its gradient
// first.
constexpr int last_key_tile(const BackwardTile& t, const BackwardSchedule& s, int q_block) {
  const int end = (q_block + 1) * backward_queries;
  const int position = t.position + (end < t.q_len ? end : t.q_len) - 1;
  const int key = s.causal && position < t.keys - 1 ? position : t.keys - 1;
  return key > 0 ? key / backward_keys : 0;
}
constexpr int first_key_tile(const BackwardArguments& p, const BackwardTile& t,
                             const BackwardSchedule& s, int q_block) {
  const int key = t.position + q_block * backward_queries - p.window + 1;
  return s.windowed && key > 0 ? key / backward_keys : 0;
}

}  // namespace weft::kernels::cuda
