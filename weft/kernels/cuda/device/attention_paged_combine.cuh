// Members of Consumer (attention_paged_consumer.cuh): the chunks of a tile become its result. Read
// once, inside the struct.

// A row, by a warp, `ahead` chunks at a time: all of their sums are on their way at once; what
// scales them is computed by a lane for each; then they are added in ascending order.
template <int ahead>
INLINE void combine_row(const Piece& piece, int r) const {
  constexpr int columns = s.head_dim / 32;
  const long long apart = (long long)p.kv_heads * p.part_rows * s.head_dim;
  float most = minus_infinity, sum = 0, total[columns] = {};
#pragma unroll 1
  for (int begin = 0; begin < piece.chunks; begin += ahead) {
    const int count = min(ahead, piece.chunks - begin);
    const float* from = part(piece.slot_first + begin * p.kv_heads, r) + lane * columns;
    float own = minus_infinity, own_sum = 0, parts[ahead][columns];
    if (lane < count)
      load_pair_global(state_of(piece.slot_first + (begin + lane) * p.kv_heads, r), own, own_sum);
#pragma unroll
    for (int i = 0; i < ahead; ++i) load_columns(from + min(i, count - 1) * apart, parts[i]);
    float here = fmaxf(most, own);  // the largest up to this chunk
#pragma unroll
    for (int distance = 1; distance < ahead; distance *= 2)
      here = fmaxf(here, __shfl_up_sync(~0u, here, distance));  // lanes below keep their own
    const float up_to_before = __shfl_up_sync(~0u, here, 1);
    const Scales scales = combine_scales(lane == 0 ? most : up_to_before, own, p.scale_log2);
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      const float keep = __shfl_sync(~0u, scales.keep, i);
      const float take = __shfl_sync(~0u, scales.take, i);
      const float chunk_sum = __shfl_sync(~0u, own_sum, i);
      if (i >= count) continue;
      const bool first = begin + i == 0;
      sum = first ? chunk_sum : combined(sum, keep, chunk_sum, take);
#pragma unroll
      for (int c = 0; c < columns; ++c)
        total[c] = first ? parts[i][c] : combined(total[c], keep, parts[i][c], take);
    }
    most = __shfl_sync(~0u, here, ahead - 1);
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
    *(u32*)(to + i) = pack_halves<s.f16>(total[i] * inverse, total[i + 1] * inverse);
  if (p.lse && lane == 0) p.lse[query * p.q_heads + head] = log_sum(most, sum, p.scale);
}

INLINE void combine(const Piece& piece) const {
#pragma unroll 1
  for (int r = warp; r < piece.rows; r += 4)
    if (piece.chunks > 8)
      combine_row<32>(piece, r);
    else
      combine_row<8>(piece, r);
}
