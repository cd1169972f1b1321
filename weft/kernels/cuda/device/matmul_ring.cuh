// The ring of operand tiles in shared memory, the order of work, and the warp that keeps the ring
// full. Part of matmul.cu, which defines the schedule `s` before.
#pragma once

// What everybody computes alike: the pieces of this cluster in their order, and a place in the
// ring.
struct Walk : RingPlace<s.stages> {
  int tiles_m, tiles_n, tiles, steps, at;
  INLINE Walk(const MatmulArguments& p)
      : tiles_m((p.m + s.tile_m * s.cluster_m - 1) / (s.tile_m * s.cluster_m)),
        tiles_n((p.n + s.tile_n * s.cluster_n - 1) / (s.tile_n * s.cluster_n)),
        tiles(p.batch * tiles_m * tiles_n),
        steps((p.k + reduced_per_stage - 1) / reduced_per_stage),
        at(blockIdx.x / cluster_size(s)) {}
  INLINE bool next(const MatmulArguments& p, Piece& piece, TileAt& tile) {
    if (at >= tiles * p.slabs) return false;
    piece = piece_at(at, tiles, p.slabs, steps);
    tile = tile_at(piece.tile, tiles_m, tiles_n, s.group);
    at += gridDim.x / cluster_size(s);
    return true;
  }
};

struct Ring {
  u32 a, b, full, empty;  // addresses: tiles of stage 0, barriers of stage 0
};

// This CTA's tile among those of its cluster.
INLINE int rank_m() {
  return cluster_rank() % s.cluster_m;
}
INLINE int rank_n() {
  return cluster_rank() / s.cluster_m;
}
INLINE int first_row(const TileAt& tile) {
  return (tile.m * s.cluster_m + rank_m()) * s.tile_m;
}
INLINE int first_column(const TileAt& tile) {
  return (tile.n * s.cluster_n + rank_n()) * result_columns(s);
}

// Where a CTA reads: rows from m, of which a_rows are there (whole boxes; what lies behind them in
// the ring belongs to nobody), columns from n, and of SwiGLU's ups from there on `ups` further, of
// these matrices of A and B.
struct Sources {
  int m, n, ups, a_rows, a_box, a_batch, b_batch;
};
INLINE Sources sources_at(const TileAt& tile, const MatmulArguments& p) {
  Sources at;
  at.m = first_row(tile), at.n = first_column(tile);
  at.ups = p.n / 2 - result_columns(s);
  at.a_box = p.a_box;
  const int boxes = (max(p.m - at.m, 0) + p.a_box - 1) / p.a_box;
  at.a_rows = s.a_turned ? s.tile_m : min(boxes * p.a_box, s.tile_m);
  at.a_batch = p.a_matrices > 1 ? tile.batch : 0;
  at.b_batch = p.b_matrices > 1 ? tile.batch : 0;
  return at;
}

// Of the tile's column `i`, in B.
INLINE int b_column(const Sources& at, int i) {
  return at.n + i + (s.epilogue.swiglu && i >= result_columns(s) ? at.ups : 0);
}

// This CTA's share of a tile of A, for all with these rows.
INLINE void load_a(u32 to, const TensorMap* a, const Sources& at, int k, u32 full) {
  const int share = rank_n() * a_share(s);
  u16 mates = 0;
#pragma unroll
  for (int i = 0; i < s.cluster_n; ++i) mates |= 1 << (i * s.cluster_m + rank_m());
  const auto load = [&](u32 there, int x, int y) {
    if constexpr (s.cluster_n == 1)
      load_box_3d(there, a, x, y, at.a_batch, full);
    else
      load_box_3d_multicast(there, a, x, y, at.a_batch, full, mates);
  };
  if (s.a_turned) {
    for (int i = 0; i < s.tile_m / 64; ++i)
      load(to + i * turned_box_bytes + share * row_bytes, at.m + i * 64, k + share);
  } else {
    const int end = min(share + a_share(s), at.a_rows);
#pragma unroll 1
    for (int row = share; row < end; row += at.a_box) load(to + row * row_bytes, k, at.m + row);
  }
}

// This CTA's share of a tile of B, columns or, where B is turned, reduced indices, for all with
// these columns.
INLINE void load_b(u32 to, const TensorMap* b, const Sources& at, int k, u32 full) {
  const int share = rank_m() * b_share(s);
  const u16 mates = ((1 << s.cluster_m) - 1) << (rank_n() * s.cluster_m);
  if (s.b_turned) {
    for (int i = 0; i < s.tile_n / 64; ++i)
      load_box_3d_multicast(to + i * turned_box_bytes + share * row_bytes, b, b_column(at, i * 64),
                            k + share, at.b_batch, full, mates);
  } else {
#pragma unroll
    for (int i = 0; i < b_share(s); i += b_box(s))
      load_box_3d_multicast(to + (share + i) * row_bytes, b, k, b_column(at, share + i), at.b_batch,
                            full, mates);
  }
}

// Fills a stage.
INLINE void load_stage(const Ring& ring, int stage, const TensorMap* a, const TensorMap* b,
                       const Sources& at, int k) {
  const u32 full = ring.full + 8 * stage;
  barrier_expect_bytes(full, b_stage_bytes(s) + at.a_rows * row_bytes);
  load_a(ring.a + stage * a_stage_bytes(s), a, at, k, full);
  load_b(ring.b + stage * b_stage_bytes(s), b, at, k, full);
}

INLINE void produce(const Ring& ring, Walk walk, const TensorMap* a, const TensorMap* b,
                    const MatmulArguments& p) {
  Piece piece;
  TileAt tile;
  while (walk.next(p, piece, tile)) {
    const Sources at = sources_at(tile, p);
#pragma unroll 1  // the producer has few registers
    for (int step = piece.step_begin; step < piece.step_end; ++step, walk.advance()) {
      barrier_wait(ring.empty + 8 * walk.stage, walk.phase ^ 1);
      load_stage(ring, walk.stage, a, b, at, step * reduced_per_stage);
    }
  }
}

// This warpgroup is done with a stage: tells every CTA that writes into it.
INLINE void release(const Ring& ring, int stage) {
  if (threadIdx.x % 128 < cluster_size(s))
    barrier_arrive_at(ring.empty + 8 * stage, threadIdx.x % 128);
}
