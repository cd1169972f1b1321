// The schedule of attention on Hopper. Compiled for the host and by NVRTC: no includes.
#pragma once

namespace weft::kernels::cuda {

// A plain record; the kernel is compiled once for each. key_block and chunk are part of what the
// numbers mean.
struct AttentionSchedule {
  int head_dim = 128;   // 64 or 128
  int key_block = 128;  // keys of one step
  int chunk = 1024;  // keys after which sums start anew and are combined; a multiple of key_block
  int stages = 2;    // key and value blocks in flight
  bool causal = true;
  bool operator==(const AttentionSchedule&) const = default;
};

constexpr int attention_rows = 128;  // queries of one tile; two warpgroups take 64 each

constexpr int query_bytes(const AttentionSchedule& s) {
  return attention_rows * s.head_dim * 2;
}
constexpr int key_bytes(const AttentionSchedule& s) {
  return s.key_block * s.head_dim * 2;
}
// Sums of the chunks so far, in f32; then the staging of results.
constexpr int total_bytes(const AttentionSchedule& s) {
  return attention_rows * s.head_dim * 4;
}
// Alignment, queries, ring of keys and values, totals, barriers, two indices of tiles.
constexpr int shared_bytes(const AttentionSchedule& s) {
  return 1024 + query_bytes(s) + 2 * s.stages * key_bytes(s) + total_bytes(s) + 24 + 32 * s.stages;
}

// Sizes and pointers of one call: segments of equal lengths, one behind the other.
struct AttentionArguments {
  int segments, q_len, kv_len, q_heads, kv_heads;
  int section;       // heads of segments worked on together, so that their keys stay in L2
  float scale_log2;  // scale / ln 2
  float scale;
  float* lse;      // [segments * q_len, q_heads], or null
  int* next_tile;  // zeroed before the launch
};

// A tile of queries of one head, and the blocks of keys that its last row sees.
struct AttentionTile {
  int q, head, segment, blocks;
};
// The index-th tile: section by section, in each those with the most keys first, so that the device
// is left evenly.
constexpr AttentionTile attention_tile(const AttentionArguments& p, const AttentionSchedule& s,
                                       int index) {
  const int q_tiles = (p.q_len + attention_rows - 1) / attention_rows;
  const int pairs = p.q_heads * p.segments;
  const int first = index / (p.section * q_tiles) * p.section;
  const int width = pairs - first < p.section ? pairs - first : p.section;
  const int rest = index - first * q_tiles;
  const int pair = first + rest % width, q = (q_tiles - 1 - rest / width) * attention_rows;
  const int seen = p.kv_len - p.q_len + q + attention_rows;
  const int keys = s.causal && seen < p.kv_len ? seen : p.kv_len;
  return {q, pair % p.q_heads, pair / p.q_heads, (keys + s.key_block - 1) / s.key_block};
}
constexpr int attention_tiles(const AttentionArguments& p) {
  return (p.q_len + attention_rows - 1) / attention_rows * p.q_heads * p.segments;
}

}  // namespace weft::kernels::cuda
