// Members of Worker (attention_backward_consumer.cuh): the gradient of queries, a sum over tiles.
// No include guard of its own use: it is read once, inside the struct.

  // 64 queries by this warpgroup's columns from the accumulators to bf16.
  INLINE void write_queries(const float (&d)[query_sums], int head, int m) {
    u16* to = p.dq + head * p.dq_head_stride + group * query_columns + lane % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = m * backward_queries + warp * 16 + lane / 4 + 8 * half;
      if (row >= p.q_len) continue;
      u16* row_to = to + ((long long)tile.segment * p.q_len + row) * p.dq_row_stride;
#pragma unroll
      for (int i = 0; i < query_sums / 4; ++i)
        *(u32*)(row_to + 8 * i) =
            pack_bf16(d[4 * i + 2 * half] * p.scale, d[4 * i + 2 * half + 1] * p.scale);
    }
  }

  // When it is this tile's turn: the first stores, those between add, the one with the first keys
  // rounds the sum.
  INLINE void add_to_queries(float (&d)[query_sums], int head, int m) {
    float* to = p.query_sums +
                ((long long)block_index(p, tile, head, m) * 2 + group) *
                    (backward_queries * query_columns) +
                threadIdx.x % 128 * 4;
    const bool first = tile.keys == last_key_tile(p, s, m);
    barrier_wait(at.barrier(turn_come + turn.stage), turn.phase);
    if (tile.keys == 0) {
#pragma unroll
      for (int i = 0; i < query_sums; i += 4) {
        float before[4] = {0, 0, 0, 0};
        if (!first) load_four_global(to + i * 128, before);
        for (int j = 0; j < 4; ++j) d[i + j] += before[j];
      }
      write_queries(d, head, m);
    } else {
#pragma unroll
      for (int i = 0; i < query_sums; i += 4) {
        if (first)
          store_four_global(to + i * 128, d + i);
        else
          add_four_global(to + i * 128, d + i);
      }
    }
    __syncwarp();
    if (lane == 0) barrier_arrive(at.barrier(turn_done + turn.stage));
  }
