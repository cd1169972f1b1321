// One block stays on each multiprocessor and goes from tile to tile: while its warpgroups write
// one, the ring fills for the next. Tiles are walked in columns of eight, so that those computed at
// the same time form a square and what they read is still in L2. Two neighbours, a cluster, need
// the same rows of B: each reads half of them, for both.
#include "examples/hopper_gemm/wgmma_stage.cuh"

constexpr Shape s = shapes[8];  // 128 x 256 of C, 2 warpgroups and a warp, 4 stages, clusters of 2
constexpr int steps = n / reduced_per_stage, b_share = s.tile_n / s.cluster;
constexpr int tiles_m = n / (s.tile_m * s.cluster), tiles_n = n / s.tile_n;
constexpr int column_of = tiles_m < 8 ? tiles_m : 8;
static_assert(tiles_m % column_of == 0);

struct Tile {
  int row, column;
};
// The tiles of this block, in their order.
INLINE bool next_tile(int& at, Tile& tile) {
  if (at >= tiles_m * tiles_n) return false;
  const int first = at / (column_of * tiles_n) * column_of, rest = at % (column_of * tiles_n);
  tile.row = ((first + rest % column_of) * s.cluster + cluster_rank()) * s.tile_m;
  tile.column = rest / column_of * s.tile_n;
  at += gridDim.x / s.cluster;
  return true;
}

INLINE void produce(const Ring<s>& ring, const TensorMap* a, const TensorMap* b) {
  const int rank = cluster_rank();
  RingPlace<s.stages> place;
  Tile tile;
  for (int at = blockIdx.x / s.cluster; next_tile(at, tile);)
    for (int k = 0; k < n; k += reduced_per_stage, place.advance()) {
      const u32 full = ring.full(place.stage);
      barrier_wait(ring.empty(place.stage), place.phase ^ 1);  // in both blocks: both are written
      barrier_expect_bytes(full, stage_bytes(s));
      load_box(ring.a(place.stage), a, k, tile.row, full);
      load_box_multicast(ring.b(place.stage) + rank * b_share * row_bytes, b, k,
                         tile.column + rank * b_share, full, (1 << s.cluster) - 1);
    }
}

// Tells every block that writes into this stage.
INLINE void release(const Ring<s>& ring, int stage) {
  if (threadIdx.x % 128 < s.cluster) barrier_arrive_at(ring.empty(stage), threadIdx.x % 128);
}

INLINE void consume(const Ring<s>& ring, u16* c) {
  const int group_row = threadIdx.x / 128 * 64;
  RingPlace<s.stages> place;
  Tile tile;
  for (int at = blockIdx.x / s.cluster; next_tile(at, tile);) {
    float d[s.tile_n / 2];
    int before = 0;
    for (int step = 0; step < steps; ++step, place.advance()) {
      barrier_wait(ring.full(place.stage), place.phase);
      issue_products(d, ring.a(place.stage) + group_row * row_bytes, ring.b(place.stage),
                     step == 0);
      wgmma_wait<1>();
      if (step > 0) release(ring, before);
      before = place.stage;
    }
    wgmma_wait<0>();
    settle(d);
    release(ring, before);
    write_rows(c, d, tile.row + threadIdx.x / 32 * 16, tile.column);
  }
}

extern "C" __global__ void __launch_bounds__(s.threads, 1) __cluster_dims__(s.cluster, 1, 1)
    step8(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, u16* c) {
  const Ring<s> ring;
  if (threadIdx.x == 0) ring.init_barriers(2 * s.cluster);
  cluster_barrier();
  if (threadIdx.x < 256)
    consume(ring, c);
  else if (threadIdx.x == 256)
    produce(ring, &a, &b);
  cluster_barrier();  // a neighbour may still write into this block or arrive at its barriers
}
