// Units of a tile, 16 rows by 128 bytes, and what is read in them beside the sums, through the copy
// engine. Part of matmul.cu.
#pragma once

constexpr int unit_columns = s.f32_out ? 32 : 64;
constexpr int units = result_columns(s) / unit_columns;  // of C, in 64 rows of a tile
constexpr int reads_of_tile = blocks * units * inputs(s.epilogue);
static_assert(blocks * units * outputs(s.epilogue) % s.store_units == 0);

// Where a thread's elements of 8 columns are in a unit: columns lane % 4 * 2 and the next, of rows
// lane / 4 and, the other half, 8 further. Of 16 bits: 16 bytes a row.
INLINE u32 place_in_unit(u32 unit, int lane, int block, int half) {
  const int row = lane / 4 + 8 * half;
  return s.f32_out ? unit + swizzled_offset(row, 2 * block + lane % 4 / 2) + lane % 2 * 8
                   : unit + swizzled_offset(row, block) + lane % 4 * 4;
}

INLINE Pair load_staged(u32 unit, int lane, int block, int half) {
  const u32 at = place_in_unit(unit, lane, block, half);
  if constexpr (!s.f32_out) return unpacked(load_int(at));
  Pair v;
  load_pair(at, v.x, v.y);
  return v;
}

// Rows m..m+15 of this warp, columns from n, of one matrix of the batch; m of the tile's first 64.
struct Corner {
  int m, n, batch;
};

// What this warp reads beside its sums: two units in shared memory, a barrier for each; `taken` so
// far.
struct Reads {
  const TensorMap* map;
  u32 units, barriers;
  unsigned taken = 0;

  INLINE u32 unit(int ahead) const { return units + (taken + ahead) % 2 * store_unit_bytes; }
  INLINE u32 barrier(int ahead) const { return barriers + (taken + ahead) % 2 * 8; }
  INLINE void await(int ahead) const { barrier_wait(barrier(ahead), (taken + ahead) / 2 % 2); }
  // The index-th of a tile; SwiGLU's slopes in turn.
  INLINE void start(int ahead, int index, const Corner& at) const {
    constexpr int each = inputs(s.epilogue) > 0 ? inputs(s.epilogue) : 1;
    if (index >= reads_of_tile) return;
    const int u = index / each;
    barrier_expect_bytes(barrier(ahead), store_unit_bytes);
    load_box_3d(unit(ahead), map, at.n + u % units * unit_columns, at.m + u / units * 64,
                each == 2 ? index % each : at.batch, barrier(ahead));
  }
};
