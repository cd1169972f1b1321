// Members of Consumer (attention_paged_consumer.cuh): the chunks of a tile become its result. Read
// once, inside the struct.

// Four columns of a row from all chunks, in ascending order; several are on their way at a time.
INLINE void combine_row(const Piece& piece, int r, int column) const {
  constexpr int ahead = 16;
  float most = minus_infinity, sum = 0, total[4] = {0, 0, 0, 0};
#pragma unroll 1
  for (int begin = 0; begin < piece.chunks; begin += ahead) {
    float states[ahead][4], parts[ahead][4];
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      const int slot = piece.slot_first + min(begin + i, piece.chunks - 1) * p.kv_heads;
      load_four_global(state_of(slot, r), states[i]);
      load_four_global(part(slot, r) + column, parts[i]);
    }
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      if (begin + i >= piece.chunks) break;
      const bool first = begin + i == 0;
      const Scales scales = combine_scales(most, states[i][0], p.scale_log2);
      most = scales.most;
      sum = first ? states[i][1] : combined(sum, scales.keep, states[i][1], scales.take);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        total[j] = first ? parts[i][j] : combined(total[j], scales.keep, parts[i][j], scales.take);
    }
  }
  const float inverse = inverse_sum(sum);
  const long long query = piece.q_begin + r / p.group;
  const int head = piece.head * p.group + r % p.group;
  *(uint2*)(p.o + query * p.o_row_stride + head * p.o_head_stride + column) =
      make_uint2(pack_bf16(total[0] * inverse, total[1] * inverse),
                 pack_bf16(total[2] * inverse, total[3] * inverse));
  if (p.lse && column == 0) p.lse[query * p.q_heads + head] = log_sum(most, sum, p.scale);
}

INLINE void combine(const Piece& piece) const {
  constexpr int lanes = s.head_dim / 4;
  const int thread = threadIdx.x % 128;
#pragma unroll 1
  for (int r = thread / lanes; r < piece.rows; r += 128 / lanes)
    combine_row(piece, r, thread % lanes * 4);
}
