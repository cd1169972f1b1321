// From sums in registers to C, in units that the copy engine takes away. Part of matmul.cu.
#pragma once
#include "weft/kernels/cuda/device/matmul_read.cuh"

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
