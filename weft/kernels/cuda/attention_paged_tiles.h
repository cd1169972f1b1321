// The schedule of attention over a paged cache on Hopper. Compiled for the host and by NVRTC: no
// includes but our own.
#pragma once
#include "weft/kernels/cuda/attention_tiles.h"

namespace weft::kernels::cuda {

// A plain record; the kernel is compiled once for each. key_block and chunk are those of
// AttentionSchedule: a row gets the same bits here and there.
struct PagedSchedule {
  int head_dim = 128;   // 64 or 128
  int key_block = 128;  // keys of one step
  int chunk = 1024;     // keys of one piece of work
  int page_rows = 16;   // rows of a page that one copy moves: the page's, at most key_block
  int stages = 3;       // blocks of keys or values in flight, for each half of a CTA
  bool causal = true;
  bool windowed = false, capped = false, f16 = false;  // as AttentionSchedule's
  bool operator==(const PagedSchedule&) const = default;
};

// Queries of all heads that read one key head, one behind the other, up to 64 rows: a tile. A CTA
// is two halves that know nothing of each other, each a warpgroup that computes and a warp that
// loads.
constexpr int paged_rows = 64, paged_halves = 2;
constexpr int paged_max_sequences = 512;

constexpr int paged_query_bytes(const PagedSchedule& s) {
  return paged_rows * s.head_dim * 2;
}
constexpr int paged_block_bytes(const PagedSchedule& s) {
  return s.key_block * s.head_dim * 2;
}
// Queries and ring; barriers: queries full and empty, a full and an empty one a stage.
constexpr int paged_half_bytes(const PagedSchedule& s) {
  return paged_query_bytes(s) + s.stages * paged_block_bytes(s);
}
constexpr int paged_barriers(const PagedSchedule& s) {
  return 2 + 2 * s.stages;
}
constexpr int paged_notes_bytes = 16;  // the numbers of two pieces, a flag
// Both halves, barriers, notes, and the number of pieces before each sequence and in all.
constexpr int shared_bytes(const PagedSchedule& s) {
  return paged_halves * (paged_half_bytes(s) + 8 * paged_barriers(s) + paged_notes_bytes) +
         4 * (paged_max_sequences + 1);
}

// Sizes and device pointers of one call.
struct PagedArguments {
  int sequences, q_heads, kv_heads;
  int group;            // query heads that read one key head
  int tile_queries;     // of a tile: 64 / group
  int page, max_pages;  // rows of a page; pages of a row of the table
  int part_rows;        // rows of `parts`: of the largest tile
  int window;
  float scale, scale_log2, cap_log2;  // as AttentionArguments'
  const int* q_begin;                 // [sequences + 1]
  const int* kv_len;                  // [sequences]
  const int* page_table;              // [sequences, max_pages]
  float* parts;                       // [pieces, part_rows, head_dim]: sums of a chunk
  float* states;    // [pieces, part_rows, 4]: its largest score and sum of weights
  int* next_piece;  // zeroed
  int* arrived;     // [pieces]: chunks that are done, in the place of chunk 0; zeroed
  unsigned short* o;
  long long o_row_stride, o_head_stride;
  float* lse;  // [rows, q_heads], or null
};

// Of one sequence: tiles, and the chunks from the first that its first query sees, at least one.
struct PagedSequence {
  int q_len, kv_len, tiles, first_chunk, chunks;
};
// The first key that a query sees.
constexpr int keys_begin(const PagedSchedule& s, int position, int window) {
  return s.windowed && position >= window ? position - window + 1 : 0;
}
constexpr PagedSequence paged_sequence(const PagedSchedule& s, int q_len, int kv_len,
                                       int tile_queries, int window) {
  const int first = keys_begin(s, kv_len - q_len, window) / s.chunk;
  const int chunks = kv_len > 0 ? (kv_len + s.chunk - 1) / s.chunk : 1;
  return {q_len, kv_len, (q_len + tile_queries - 1) / tile_queries, first, chunks - first};
}
constexpr int paged_pieces(const PagedSequence& q) {
  return q.tiles * q.chunks;
}
// Keys in front of the first that the tile's last query does not see.
constexpr int paged_keys(const PagedSequence& q, int tile, int tile_queries) {
  const int end = (tile + 1) * tile_queries < q.q_len ? (tile + 1) * tile_queries : q.q_len;
  return clamped(q.kv_len - q.q_len + end, 0, q.kv_len);
}

}  // namespace weft::kernels::cuda
