// From sums in registers to C, in units of 16 rows by 128 bytes, which the copy engine brings and
// takes away. Part of matmul.cu.
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

// From fragments to staging. d: what becomes of these columns.
INLINE void stage_unit(const float* d, u32 unit) {
  const int lane = lane_again();
  if (s.f32_out) {
    for (int i = 0; i < 4; ++i)
      for (int half = 0; half < 2; ++half)
        store_pair(place_in_unit(unit, lane, i, half), d[4 * i + 2 * half],
                   d[4 * i + 2 * half + 1]);
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

// Units of results on their way to memory; `staging` is used in turn.
struct Writes {
  const TensorMap *c, *slope;
  u32 staging;
  bool add;
};
INLINE void write_unit(const float* values, const Writes& to, int turn, int output, int x, int y,
                       int batch) {
  const u32 unit = to.staging + turn % s.store_units * store_unit_bytes;
  const int lane = lane_again();
  if (lane == 0) wait_stores_read<s.store_units - 1>();
  __syncwarp();
  stage_unit(values, unit);
  publish_to_async();
  __syncwarp();
  if (lane == 0) {
    constexpr MatmulEpilogue e = s.epilogue;
    if (to.add)
      add_box(to.c, unit, x, y, batch);
    else if (e.keep_slope && output > 0)
      store_box(to.slope, unit, x, y, e.swiglu ? output - 1 : batch);
    else
      store_box(to.c, unit, x, y, e.swiglu_gradient ? output : batch);
    commit_stores();
  }
}

// The u-th unit of 64 rows: from sums d, in whose place C's values come.
template <int block, int u>
INLINE void finish_unit(float (&d)[sums], const Writes& to, Reads& reads, const Corner& at,
                        const MatmulArguments& p) {
  constexpr int in = inputs(s.epilogue), out = outputs(s.epilogue), values = unit_columns / 2;
  constexpr int index = block * units + u;
  const int lane = lane_again();
  float more[out][values];  // the first is not used
  float* c = d + u * values;
#pragma unroll
  for (int j = 0; j < in; ++j) reads.await(j);
#pragma unroll
  for (int i = 0; i < values; i += 4) {  // blocks of 8 columns, in both halves of the rows
    const Sums bias = load_biases(at.n + u * unit_columns + i * 2 + lane % 4 * 2, p);
#pragma unroll
    for (int k = i; k < i + 4; k += 2) {
      Pair read[in > 0 ? in : 1];
#pragma unroll
      for (int j = 0; j < in; ++j) read[j] = load_staged(reads.unit(j), lane, i / 4, k / 2 % 2);
      const Results r = finish(scaled(c + k, c + k + sums / 2, bias, p), read);
      c[k] = r.v[0].x, c[k + 1] = r.v[0].y;
#pragma unroll
      for (int o = 1; o < out; ++o) more[o][k] = r.v[o].x, more[o][k + 1] = r.v[o].y;
    }
  }
  if (in > 0) {
    __syncwarp();
    for (int j = 0; j < in; ++j)
      if (lane == 0) reads.start(j, index * in + j + 2, at);
    reads.taken += in;
  }
#pragma unroll
  for (int o = 0; o < out; ++o)
    write_unit(o == 0 ? c : more[o], to, index * out + o, o, at.n + u * unit_columns,
               at.m + block * 64, at.batch);
}
template <int block, int u>
INLINE void finish_units(float (&d)[sums], const Writes& to, Reads& reads, const Corner& at,
                         const MatmulArguments& p) {
  finish_unit<block, u>(d, to, reads, at, p);
  if constexpr (u + 1 < units) finish_units<block, u + 1>(d, to, reads, at, p);
}
template <int block>
INLINE void finish_blocks(float (&d)[blocks][sums], const Writes& to, Reads& reads,
                          const Corner& at, const MatmulArguments& p) {
  finish_units<block, 0>(d[block], to, reads, at, p);
  if constexpr (block + 1 < blocks) finish_blocks<block + 1>(d, to, reads, at, p);
}

// This warp's rows of a tile; pieces of a sum in slabs wait for the slab before them.
INLINE void write_piece(float (&d)[blocks][sums], Writes to, Reads& reads, const Piece& piece,
                        const Corner& at, int* done, const MatmulArguments& p) {
  const int lane = lane_again();
  if (p.slabs > 1) {
    if (lane == 0) {
      while (load_acquire(done) < piece.slab) {
      }
      fence_async();
    }
    __syncwarp();
  }
  to.add = s.accumulate || piece.slab > 0;
  finish_blocks<0>(d, to, reads, at, p);
  if (p.slabs > 1 && lane == 0) {
    wait_stores_done();
    fence_async();
    store_release(done, piece.slab + 1);
  }
}
