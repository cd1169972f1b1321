// Members of Worker (attention_backward_consumer.cuh): the gradient of queries, a sum over tiles.
// Read once, inside the struct.

// 64 queries by this warpgroup's columns from the accumulators to 16 bits.
INLINE void write_queries(const float (&d)[query_sums], const BackwardTile& tile, int head, int m) {
  u16* to = p.dq + head * p.dq_head_stride + group * query_columns + lane % 4 * 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = m * backward_queries + warp * 16 + lane / 4 + 8 * half;
    if (row >= tile.q_len) continue;
    u16* row_to = to + (long long)(tile.q + row) * p.dq_row_stride;
#pragma unroll
    for (int i = 0; i < query_sums / 4; ++i)
      *(u32*)(row_to + 8 * i) = pack_halves<s.f16>(d[4 * i + 2 * half] * p.slope_scale,
                                                   d[4 * i + 2 * half + 1] * p.slope_scale);
  }
}

// This thread's part of a place of sums: 16 bytes, 512 a warp, for each four.
INLINE u32 sum_place(int stage) const {
  return at.sums + stage * query_sum_bytes(s) + (group * 4 + warp) * warp_part_bytes(s) + lane * 16;
}
// A warp's part may be written when sums and results before have been read from there.
INLINE void await_sum_place(const Pair& place) {
  barrier_wait(at.barrier(sum_empty + place.stage), place.phase ^ 1);
  if (lane == 0) wait_stores_read<0>();
  __syncwarp();
}

// Hands this block's gradient over to be added. The tile with the first keys comes last: it adds
// what the others gave and rounds the sum.
INLINE void add_to_queries(float (&d)[query_sums], int head, int m) {
  await_sum_place(turn);
  const BackwardTile tile = tile_from(tile_at);
  const int keys = tile.key / backward_keys;
  if (keys > first_key_tile(p, tile, s, m)) {
#pragma unroll
    for (int i = 0; i < query_sums; i += 4) store_four(sum_place(turn.stage) + i * 128, d + i);
    publish_to_async();
  } else {
    barrier_wait(at.barrier(turn_come + turn.stage), turns >> turn.stage & 1);
    turns ^= 1 << turn.stage;
    const float* from = p.query_sums + block_index(p, tile, head, m) * (query_sum_bytes(s) / 4) +
                        (group * 4 + warp) * (warp_part_bytes(s) / 4) + lane * 4;
    const bool alone = last_key_tile(tile, s, m) == keys;
#pragma unroll
    for (int i = 0; i < query_sums; i += 4) {
      float before[4] = {0, 0, 0, 0};
      if (!alone) load_four_global(from + i * 32, before);
      for (int j = 0; j < 4; ++j) d[i + j] += before[j];
    }
    write_queries(d, tile, head, m);
  }
  __syncwarp();
  if (lane == 0) barrier_arrive(at.barrier(sum_full + turn.stage));
}
