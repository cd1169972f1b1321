// Members of Consumer (attention_paged_consumer.cuh): the chunks of a tile become its result. Read
// once, inside the struct.

// A row, by a warp: what scales the chunks is computed for 32 of them at a time, a lane for each;
// then their sums are added in ascending order, many on their way at a time.
INLINE void combine_row(const Piece& piece, int r) const {
  constexpr int columns = s.head_dim / 32, ahead = 8;
  const long long apart = (long long)p.kv_heads * p.part_rows * s.head_dim;
  float most = minus_infinity, sum = 0, total[columns] = {};
#pragma unroll 1
  for (int begin = 0; begin < piece.chunks; begin += 32) {
    float own = minus_infinity, own_sum = 0;
    if (begin + lane < piece.chunks)
      load_pair_global(state_of(piece.slot_first + (begin + lane) * p.kv_heads, r), own, own_sum);
    float here = fmaxf(most, own);  // the largest up to this chunk
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2)
      here = fmaxf(here, __shfl_up_sync(~0u, here, distance));  // lanes below keep their own
    const float up_to_before = __shfl_up_sync(~0u, here, 1);
    const Scales scales = combine_scales(lane == 0 ? most : up_to_before, own, p.scale_log2);
    const float* from = part(piece.slot_first + begin * p.kv_heads, r) + lane * columns;
    const int count = min(32, piece.chunks - begin);
#pragma unroll 1
    for (int i = 0; i < count; i += ahead, from += ahead * apart) {
      float parts[ahead][columns];
#pragma unroll
      for (int j = 0; j < ahead; ++j)
        if (i + j < count) load_columns(from + j * apart, parts[j]);
#pragma unroll
      for (int j = 0; j < ahead; ++j) {
        const float keep = __shfl_sync(~0u, scales.keep, i + j);
        const float take = __shfl_sync(~0u, scales.take, i + j);
        const float chunk_sum = __shfl_sync(~0u, own_sum, i + j);
        if (i + j >= count) continue;
        const bool first = begin + i + j == 0;
        sum = first ? chunk_sum : combined(sum, keep, chunk_sum, take);
#pragma unroll
        for (int c = 0; c < columns; ++c)
          total[c] = first ? parts[j][c] : combined(total[c], keep, parts[j][c], take);
      }
    }
    most = __shfl_sync(~0u, here, 31);
  }
  write_row(piece, r, most, sum, total);
}

template <int columns>
INLINE void write_row(const Piece& piece, int r, float most, float sum,
                      const float (&total)[columns]) const {
  const float inverse = inverse_sum(sum);
  const long long query = piece.q_begin + r / p.group;
  const int head = piece.head * p.group + r % p.group;
  u16* to = p.o + query * p.o_row_stride + head * p.o_head_stride + lane * columns;
#pragma unroll
  for (int i = 0; i < columns; i += 2)
    *(u32*)(to + i) = pack_bf16(total[i] * inverse, total[i + 1] * inverse);
  if (p.lse && lane == 0) p.lse[query * p.q_heads + head] = log_sum(most, sum, p.scale);
}

INLINE void combine(const Piece& piece) const {
#pragma unroll 1
  for (int r = warp; r < piece.rows; r += 4) combine_row(piece, r);
}
