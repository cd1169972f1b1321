// Where the attention kernels keep what, in bytes from the start of a thread's part of the scratch.
// One layout for all instruction sets: sized for the largest.
#pragma once
#include "weft/kernels/attention.h"

namespace weft::kernels {

constexpr int attention_rows = 64;          // queries and keys are padded to a multiple of this
constexpr int attention_forward_rows = 32;  // queries of one tile of the forward pass

// Head sizes are padded with zeros to a multiple of this.
constexpr int attention_depth(int head_dim) {
  return (head_dim + 31) / 32 * 32;
}

constexpr int64_t attention_forward_tile_bytes = 85 << 10;    // ForwardTile
constexpr int64_t attention_backward_block_bytes = 64 << 10;  // BackwardBlock

// Queries of one head that the backward pass takes together: few enough that their rows in both
// orders and their gradients (12 bytes an element in bf16) stay in a cache of 512 KiB.
constexpr int attention_query_chunk(int depth) {
  return 32768 / depth / attention_rows * attention_rows;
}

// Keys that the forward pass has room for at least.
constexpr int64_t attention_packed_keys = 512;

struct AttentionForwardScratch {
  int64_t tiles, s;  // two of each; s: [32, 64]
  int64_t staging;   // [64, depth]
  int64_t keys;      // how many k and v hold
  int64_t k, v;      // packed keys and values of one head, or of two with few
  int64_t thread_bytes;
};
AttentionForwardScratch attention_forward_scratch(const AttentionShape& shape);

struct AttentionBackwardScratch {
  int64_t block, staging;                          // staging: [64, depth]
  int64_t k, v, k_columns, dk, dv;                 // [keys, depth] of one key and value head
  int64_t q_columns, q_rows, do_columns, do_rows;  // [queries, depth] of one chunk
  int64_t dq;                                      // [queries, depth] of one chunk
  int64_t shift, d, first, last;                   // [queries]
  int64_t thread_bytes;
};
AttentionBackwardScratch attention_backward_scratch(const AttentionShape& shape);

}  // namespace weft::kernels
