// The one case of the attention ladder: causal, heads side by side in rows of bf16. Compiled for
// the host and by NVRTC: no includes.
#pragma once

namespace ladder {

constexpr int head_dim = 128, heads = 16, width = heads * head_dim;
constexpr int sequences = 4;
constexpr float scale = 0.08838834764831845f, log2_e = 1.4426950408889634f;  // 1 / sqrt(128)

// The second step: 64 queries a block, a warp for each 16; 64 keys at a time, twice.
constexpr int tile_queries = 64, tile_keys = 64, online_threads = tile_queries / 16 * 32;
constexpr int rows_bytes = 64 * head_dim * 2;  // of 64 queries, keys or values
constexpr int online_shared_bytes = 1024 + 5 * rows_bytes;

}  // namespace ladder
