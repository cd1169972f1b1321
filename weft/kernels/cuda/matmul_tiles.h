// The schedule of a matrix product on Hopper, and who computes what when. Compiled for the host and
// by NVRTC: no includes.
#pragma once

namespace weft::kernels::cuda {

// What happens to a sum on its way to C, in this order; each step rounds to C's type.
struct MatmulEpilogue {
  bool bias = false;         // + bias[column]
  bool gelu = false;         // gelu_tanh
  bool keep_slope = false;   // slope = the derivative of gelu_tanh, at the value before
  bool times_slope = false;  // times slope; alone
  bool residual = false;     // + residual
  // silu(gate) up, of the first half of the columns and the other; slope = the derivatives by both
  bool swiglu = false;
  bool swiglu_gradient = false;  // times both slopes, side by side; alone
  bool operator==(const MatmulEpilogue&) const = default;
};

constexpr bool is_swiglu(const MatmulEpilogue& e) {
  return e.swiglu || e.swiglu_gradient;
}
// Matrices like C that are read (slope, residual) and written (C, slope), each half of SwiGLU's.
constexpr int inputs(const MatmulEpilogue& e) {
  return e.swiglu_gradient ? 2 : e.times_slope || e.residual ? 1 : 0;
}
constexpr int outputs(const MatmulEpilogue& e) {
  return e.swiglu_gradient ? 2 : !e.keep_slope ? 1 : e.swiglu ? 3 : 2;
}

// How C[m][n] = sum over k of A[m][k] B[k][n] is cut and staged. A plain record; the kernel is
// compiled once for each.
struct MatmulSchedule {
  int tile_m = 128, tile_n = 192;  // of C; multiples of 64, together at most 192 sums a thread
  int stages = 5;                  // of the ring in shared memory, 64 of k each
  int cluster_m = 2;               // neighbours along m that share one read of B
  int cluster_n = 1;               // neighbours along n that share one read of A
  int group = 8;                   // rows of cluster tiles walked together, so that L2 is hit
  int store_units = 1;             // staging of C: units of 16 rows by 128 bytes for each warp
  bool a_turned = false;           // A is stored [k][m] (m contiguous)
  bool b_turned = false;           // B is stored [k][n] (n contiguous); else [n][k]
  bool f32_out = false;            // C in f32, else in the operands' type
  bool accumulate = false;         // C += ...
  bool f16 = false;                // operands, and bias, are f16, else bf16
  MatmulEpilogue epilogue;
  bool operator==(const MatmulSchedule&) const = default;
};

constexpr int consumer_warps = 8, warps_per_tile = 4, rows_per_warp = 16,
              store_unit_bytes = rows_per_warp * 128;

constexpr int a_stage_bytes(const MatmulSchedule& s) {
  return s.tile_m * 128;
}
constexpr int b_stage_bytes(const MatmulSchedule& s) {
  return s.tile_n * 128;
}
constexpr int cluster_size(const MatmulSchedule& s) {
  return s.cluster_m * s.cluster_n;
}
// Columns of C for a tile's sums; of SwiGLU's gradient in each half.
constexpr int result_columns(const MatmulSchedule& s) {
  return s.epilogue.swiglu ? s.tile_n / 2 : s.tile_n;
}
// Rows of 128 bytes of A's or B's boxes that one CTA reads for all that share them; those of B in
// boxes that have gates alone, or ups.
constexpr int a_share(const MatmulSchedule& s) {
  return (s.a_turned ? 64 : s.tile_m) / s.cluster_n;
}
constexpr int b_share(const MatmulSchedule& s) {
  return (s.b_turned ? 64 : s.tile_n) / s.cluster_m;
}
constexpr int b_box(const MatmulSchedule& s) {
  return b_share(s) < result_columns(s) ? b_share(s) : result_columns(s);
}
constexpr int store_bytes(const MatmulSchedule& s) {
  return consumer_warps * s.store_units * store_unit_bytes;
}
// Of what is read beside the sums: two units for each warp, and a barrier for each.
constexpr int read_bytes(const MatmulSchedule& s) {
  return inputs(s.epilogue) > 0 ? consumer_warps * 2 * store_unit_bytes : 0;
}
constexpr int read_barrier_bytes(const MatmulSchedule& s) {
  return read_bytes(s) / store_unit_bytes * 8;
}
// Operand ring with two barriers a stage, staging, and room to align the start to 1024 bytes.
constexpr int stage_bytes(const MatmulSchedule& s) {
  return a_stage_bytes(s) + b_stage_bytes(s) + 16;
}
constexpr int shared_bytes(const MatmulSchedule& s) {
  return 1024 + s.stages * stage_bytes(s) + store_bytes(s) + read_bytes(s) + read_barrier_bytes(s);
}
// As many as a multiprocessor has memory for.
constexpr int ring_stages(const MatmulSchedule& s) {
  return (227 * 1024 - 1024 - store_bytes(s) - read_bytes(s) - read_barrier_bytes(s)) /
         stage_bytes(s);
}

// A tile of C in one matrix of the batch; m and n count cluster tiles.
struct TileAt {
  int m, n, batch;
};

// The index-th tile: matrix by matrix, each in columns of `group` rows, so that tiles computed at
// the same time form a block that is about square and share their operands in L2.
constexpr TileAt tile_at(int index, int tiles_m, int tiles_n, int group) {
  const int batch = index / (tiles_m * tiles_n);
  index -= batch * tiles_m * tiles_n;
  const int per_group = group * tiles_n;
  const int first = index / per_group * group;
  const int rows = tiles_m - first < group ? tiles_m - first : group;
  const int rest = index % per_group;
  return {first + rest % rows, rest / rows, batch};
}

// A piece of work: one cluster tile over one slab of k, in steps of 64. Pieces are numbered slab by
// slab; a worker (cluster) takes every workers-th. The slabs of a tile are added up in ascending
// order, each waiting for the one before, which has a lower number: somebody can always go on.
struct Piece {
  int tile, slab, step_begin, step_end;
};
constexpr Piece piece_at(int index, int tiles, int slabs, int steps) {
  const int slab = index / tiles;
  return {index % tiles, slab, int(unsigned(steps) * slab / slabs),
          int(unsigned(steps) * (slab + 1) / slabs)};
}

// Sizes and pointers of one product; the kernel's last parameter. Strides count elements.
struct MatmulArguments {
  int m, n, k, batch;
  int a_matrices, b_matrices;  // batch, or 1: the same for all
  int a_box;                   // rows of A in one copy, where A is not turned; a divisor of a_share
  int slabs;                   // 1 but for sums into f32
  int* progress;     // slabs > 1: [tiles * CTAs * warps_per_tile] slabs added so far, zeroed
  float scale;       // of sums
  const void* bias;  // [n] in the operands' type
};

}  // namespace weft::kernels::cuda
