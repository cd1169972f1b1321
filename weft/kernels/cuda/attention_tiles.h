// The schedule of attention on Hopper. Compiled for the host and by NVRTC: no includes but our own.
#pragma once
#include "weft/kernels/cuda/attention_segment_tiles.h"

namespace weft::kernels::cuda {

// A plain record; the kernel is compiled once for each. key_block and chunk are part of what the
// numbers mean.
struct AttentionSchedule {
  int head_dim = 128;   // 64 or 128
  int key_block = 128;  // keys of one step
  int chunk = 1024;  // keys after which sums start anew and are combined; a multiple of key_block
  int stages = 2;    // key and value blocks in flight
  int groups = 2;    // warpgroups that multiply, for 64 queries each: 2 or 3
  bool causal = true;
  bool windowed = false;  // a row sees the last `window` keys up to its own
  bool capped = false;    // scores go through cap tanh(score / cap)
  bool f16 = false;       // else bf16
  bool operator==(const AttentionSchedule&) const = default;
};

// Queries of one tile.
constexpr int tile_rows(const AttentionSchedule& s) {
  return 64 * s.groups;
}
// One warpgroup more feeds them. Registers as in layout.h.
constexpr int attention_threads(const AttentionSchedule& s) {
  return 128 * (s.groups + 1);
}
constexpr int feeder_registers(const AttentionSchedule& s) {
  return s.groups == 2 ? 40 : 32;
}
constexpr int worker_registers(const AttentionSchedule& s) {
  return s.groups == 2 ? 232 : 160;
}

// Heads of 64: the first scores of a tile run beneath the end of the one before, and what only
// some warpgroups see is left out by the others. Heads of 128 have two stages and one place for
// queries, so that one tile waits for the other: 1 to 4 % slower (causal), and so each by itself.
constexpr bool overlaps(const AttentionSchedule& s) {
  return s.head_dim == 64;
}

constexpr int query_bytes(const AttentionSchedule& s) {
  return tile_rows(s) * s.head_dim * 2;
}
constexpr int key_bytes(const AttentionSchedule& s) {
  return s.key_block * s.head_dim * 2;
}
// Sums of the chunks so far, in f32; then the staging of results.
constexpr int total_bytes(const AttentionSchedule& s) {
  return tile_rows(s) * s.head_dim * 4;
}

// Sizes and pointers of one call.
struct AttentionArguments {
  SegmentList list;
  int kv_heads;
  int window;
  float scale, scale_log2;  // of what goes into the softmax; scale / ln 2
  float cap_log2;           // capped: 2 / ln 2 of the scale of q k over the cap
  float* lse;               // [q_rows, q_heads], or null
  int* next_tile;           // zeroed before the launch
};

// A tile of queries of one head, and the blocks of keys that its rows see, at least one: [first,
// end). Row r stands at position + r. rows 0: nothing to do.
struct AttentionTile {
  int q, rows, kv, keys;  // rows of q from `q` on; of k from `kv` on
  int position, head, first, end;
};
constexpr int attention_tile_ints = 8;

// Alignment, queries, ring of keys and values, totals, barriers, two tiles.
constexpr int shared_bytes(const AttentionSchedule& s) {
  return 1024 + query_bytes(s) + 2 * s.stages * key_bytes(s) + total_bytes(s) + 16 + 32 * s.stages +
         2 * attention_tile_ints * 4;
}

// Keys in front of the first that a row at this position does not see.
template <class Schedule>
constexpr int keys_end(const Schedule& s, int position, int keys) {
  return s.causal ? clamped(position + 1, 0, keys) : keys;
}
constexpr AttentionTile attention_tile(const AttentionArguments& p, const AttentionSchedule& s,
                                       int index) {
  const PlaceInOrder at = place_in_order(p.list, index);
  const KernelSegment& segment = p.list.segments[at.segment];
  int q = at.tile * tile_rows(s), rows = clamped(segment.q_len - q, 0, tile_rows(s));
  if (overlaps(s)) {  // a segment's first tile is the short one: with causal masks it has few keys
    const int tiles = (segment.q_len + tile_rows(s) - 1) / tile_rows(s);
    const int q_end = segment.q_len - (tiles - 1 - at.tile) * tile_rows(s);
    q = clamped(q_end - tile_rows(s), 0, segment.q_len);
    rows = at.tile < tiles ? q_end - q : 0;
  }
  const int position = segment.kv_len - segment.q_len + q;
  const int seen = keys_end(s, position + rows - 1, segment.kv_len);
  const int end = seen > 0 ? (seen + s.key_block - 1) / s.key_block : 1;
  const int first = s.windowed ? clamped((position - p.window + 1) / s.key_block, 0, end - 1) : 0;
  return {
      segment.q_begin + q, rows, segment.kv_begin, segment.kv_len, position, at.head, first, end};
}

// Behind the last block that one of a warpgroup's 64 rows sees: the tile's end or one less.
constexpr int own_end(const AttentionSchedule& s, const AttentionTile& tile, int group) {
  const int last = clamped(group * 64 + 63, 0, tile.rows - 1);
  const int seen = keys_end(s, tile.position + last, tile.keys);
  return seen > (tile.end - 1) * s.key_block || tile.end - tile.first == 1 ? tile.end
                                                                           : tile.end - 1;
}

}  // namespace weft::kernels::cuda
