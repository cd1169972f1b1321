// The ring of operand tiles in shared memory, the order of work, and the warp that keeps the ring
// full. Part of matmul.cu, which defines the schedule `s` before.
#pragma once

// What everybody computes alike: the pieces of this cluster in their order, and a place in the
// ring.
struct Walk : RingPlace<s.stages> {
  int tiles_m, tiles_n, tiles, steps, at;
  INLINE Walk(const MatmulArguments& p)
      : tiles_m((p.m + s.tile_m * s.cluster - 1) / (s.tile_m * s.cluster)),
        tiles_n((p.n + s.tile_n - 1) / s.tile_n),
        tiles(p.batch * tiles_m * tiles_n),
        steps((p.k + reduced_per_stage - 1) / reduced_per_stage),
        at(blockIdx.x / s.cluster) {}
  INLINE bool next(const MatmulArguments& p, Piece& piece, TileAt& tile) {
    if (at >= tiles * p.slabs) return false;
    piece = piece_at(at, tiles, p.slabs, steps);
    tile = tile_at(piece.tile, tiles_m, tiles_n, s.group);
    at += gridDim.x / s.cluster;
    return true;
  }
};

struct Ring {
  u32 a, b, full, empty;  // addresses: tiles of stage 0, barriers of stage 0
};

// Where a CTA reads: rows from m, of which a_rows are there (whole boxes; what lies behind them in
// the ring belongs to nobody), columns from n, of these matrices of A and B.
struct Sources {
  int m, n, a_rows, a_box, a_batch, b_batch;
};
INLINE Sources sources_at(const TileAt& tile, u32 rank, const MatmulArguments& p) {
  Sources at;
  at.m = (tile.m * s.cluster + rank) * s.tile_m, at.n = tile.n * s.tile_n;
  at.a_box = p.a_box;
  const int boxes = (max(p.m - at.m, 0) + p.a_box - 1) / p.a_box;
  at.a_rows = s.a_turned ? s.tile_m : min(boxes * p.a_box, s.tile_m);
  at.a_batch = p.a_matrices > 1 ? tile.batch : 0;
  at.b_batch = p.b_matrices > 1 ? tile.batch : 0;
  return at;
}

// Fills a stage. Each CTA of the cluster reads its own tile of A and a share of B (columns, or
// reduced indices where B is turned) for all.
INLINE void load_stage(const Ring& ring, int stage, const TensorMap* a, const TensorMap* b,
                       const Sources& at, int k, u32 rank) {
  const u32 full = ring.full + 8 * stage;
  const u32 to_a = ring.a + stage * a_stage_bytes(s);
  const u32 to_b = ring.b + stage * b_stage_bytes(s) + rank * b_share(s) * row_bytes;
  const u16 all = (1 << s.cluster) - 1;
  barrier_expect_bytes(full, b_stage_bytes(s) + at.a_rows * row_bytes);
  if (s.a_turned) {
    for (int i = 0; i < s.tile_m / 64; ++i)
      load_box_3d(to_a + i * turned_box_bytes, a, at.m + i * 64, k, at.a_batch, full);
  } else {
#pragma unroll 1
    for (int row = 0; row < at.a_rows; row += at.a_box)
      load_box_3d(to_a + row * row_bytes, a, k, at.m + row, at.a_batch, full);
  }
  if (s.b_turned) {
    for (int i = 0; i < s.tile_n / 64; ++i)
      load_box_3d_multicast(to_b + i * turned_box_bytes, b, at.n + i * 64, k + rank * b_share(s),
                            at.b_batch, full, all);
  } else {
    load_box_3d_multicast(to_b, b, k, at.n + rank * b_share(s), at.b_batch, full, all);
  }
}

INLINE void produce(const Ring& ring, Walk walk, const TensorMap* a, const TensorMap* b,
                    const MatmulArguments& p, u32 rank) {
  Piece piece;
  TileAt tile;
  while (walk.next(p, piece, tile)) {
    const Sources at = sources_at(tile, rank, p);
#pragma unroll 1  // the producer has few registers
    for (int step = piece.step_begin; step < piece.step_end; ++step, walk.advance()) {
      barrier_wait(ring.empty + 8 * walk.stage, walk.phase ^ 1);
      load_stage(ring, walk.stage, a, b, at, step * reduced_per_stage, rank);
    }
  }
}

// This warpgroup is done with a stage: tells every CTA that writes into it.
INLINE void release(const Ring& ring, int stage) {
  if (threadIdx.x % 128 < s.cluster) barrier_arrive_at(ring.empty + 8 * stage, threadIdx.x % 128);
}
