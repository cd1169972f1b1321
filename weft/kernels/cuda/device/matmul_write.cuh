// From sums in registers to C. Part of matmul.cu.
#pragma once

constexpr int unit_columns = s.f32_out ? 32 : 64;  // 128 bytes

// One unit of C, 16 rows by 128 bytes, from fragments to staging. d: the sums of these columns.
INLINE void stage_unit(const float* d, u32 unit) {
  const int lane = lane_again();
  if (s.f32_out) {
    for (int i = 0; i < 4; ++i)  // blocks of 8 columns: 32 bytes a row
      for (int half = 0; half < 2; ++half)
        store_pair(unit + swizzled_offset(lane / 4 + 8 * half, 2 * i + lane % 4 / 2) + lane % 2 * 8,
                   d[4 * i + 2 * half], d[4 * i + 2 * half + 1]);
  } else {
    const int row = lane % 16;
    for (int i = 0; i < 4; ++i)  // blocks of 16 columns
      store_blocks(unit + swizzled_offset(row, 2 * i + lane / 16),
                   pack_halves<s.f16>(d[8 * i], d[8 * i + 1]),
                   pack_halves<s.f16>(d[8 * i + 2], d[8 * i + 3]),
                   pack_halves<s.f16>(d[8 * i + 4], d[8 * i + 5]),
                   pack_halves<s.f16>(d[8 * i + 6], d[8 * i + 7]));
  }
}

// Rows m..m+15 of this warp, columns from n, of one matrix of the batch. `staging`: this warp's
// units, used in turn through all blocks of all tiles.
template <int block, int sums>
INLINE void write(float (&d)[sums], const TensorMap* c, u32 staging, int m, int n, int batch,
                  bool add, const MatmulArguments& p) {
  constexpr int units = s.tile_n / unit_columns;
  static_assert(s.tile_m / 64 * units % s.store_units == 0);
  const int lane = lane_again();
#pragma unroll
  for (int u = 0; u < units; ++u) {
    const u32 unit = staging + (block * units + u) % s.store_units * store_unit_bytes;
    float* values = d + u * (unit_columns / 2);
#pragma unroll
    for (int i = 0; i < unit_columns / 8; ++i) {
      epilogue(values + 4 * i, m + lane / 4, n + u * unit_columns + 8 * i + lane % 4 * 2, batch, p);
    }
    if (lane == 0) wait_stores_read<s.store_units - 1>();
    __syncwarp();
    stage_unit(values, unit);
    publish_to_async();
    __syncwarp();
    if (lane == 0) {
      if (add)
        add_box(c, unit, n + u * unit_columns, m, batch);
      else
        store_box(c, unit, n + u * unit_columns, m, batch);
      commit_stores();
    }
  }
}
