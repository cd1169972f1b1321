// The matrix product on Hopper: one producer warp keeps a ring of operand tiles filled through the
// copy engine; two consumer warpgroups take tiles in turn ("ping-pong"), so that one multiplies out
// of the ring (wgmma m64nNk16, f32 sums in registers) while the other writes its tile, each warp
// its own rows through a small staging area. Persistent: one CTA a multiprocessor, in clusters that
// share what they read by multicast.
//
// An element of C is one ascending chain of k16 instructions over k, whatever the tile: its bits
// depend on k (and the number of slabs, when sums go into f32), never on m, n or the schedule.
#include "weft/kernels/cuda/device/ptx.cuh"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/matmul_tiles.h"

using namespace weft::kernels::cuda;

// Spliced in by matmul.cpp: `constexpr MatmulSchedule s`, wgmma().
#include "schedule"
constexpr bool f32_results = s.f32_out;
constexpr int blocks = s.tile_m / 64;  // of 64 rows of a tile: 1 to 3
constexpr int sums = s.tile_n / 2;     // of one thread, in one block
#include "weft/kernels/cuda/device/matmul_epilogue.cuh"
#include "weft/kernels/cuda/device/matmul_ring.cuh"
#include "weft/kernels/cuda/device/matmul_write.cuh"
#include "wgmma"

// Taking turns: a warpgroup may issue its products when the other has issued all of its own.
INLINE void await_turn(int group) {
  named_barrier(1 + group, 256);
}
INLINE void pass_turn(int group) {
  named_barrier_arrive(2 - group, 256);
}

INLINE void multiply(float (&d)[blocks][sums], const Ring& ring, Walk& walk, const Piece& piece,
                     int group) {
  constexpr int block_bytes = 64 * row_bytes;  // of A, either way round
  const u64 a = operand_descriptor(ring.a, s.a_turned);
  const u64 b = operand_descriptor(ring.b, s.b_turned);
  int previous = -1;
  await_turn(group);
  for (int step = piece.step_begin; step < piece.step_end; ++step) {
    barrier_wait(ring.full + 8 * walk.stage, walk.phase);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < reduced_per_stage / reduced_per_instruction; ++i)
#pragma unroll
      for (int block = 0; block < blocks; ++block)
        wgmma(d[block],
              a + (walk.stage * a_stage_bytes(s) + block * block_bytes >> 4) +
                  i * descriptor_step(s.a_turned),
              b + (walk.stage * b_stage_bytes(s) >> 4) + i * descriptor_step(s.b_turned),
              previous >= 0 || i > 0);
    wgmma_commit();
    wgmma_wait<1>();  // the step before has ended
    if (previous >= 0) release(ring, previous);
    previous = walk.stage;
    walk.advance();
  }
  pass_turn(group);
  wgmma_wait<0>();
#pragma unroll
  for (int block = 0; block < blocks; ++block) settle(d[block]);
  release(ring, previous);
}

// What is read beside the sums comes while they are added up.
INLINE void consume(const Ring& ring, Walk walk, const Writes& to, Reads reads,
                    const MatmulArguments& p, int group) {
  const int warp = threadIdx.x / 32 % 4;
  Piece piece;
  TileAt tile;
  float d[blocks][sums];
  if (group == 1) pass_turn(group);  // warpgroup 0 goes first
  for (int turn = 0; walk.next(p, piece, tile); ++turn) {
    if (turn % 2 != group) {
      walk.skip(piece.step_end - piece.step_begin);
      continue;
    }
    const Corner at{first_row(tile) + warp * rows_per_warp, first_column(tile), tile.batch};
    if (inputs(s.epilogue) > 0 && threadIdx.x % 32 == 0)
      reads.start(0, 0, at), reads.start(1, 1, at);
    __syncwarp();
    multiply(d, ring, walk, piece, group);
    int* done =
        p.progress + (piece.tile * cluster_size(s) + cluster_rank()) * warps_per_tile + warp;
    write_piece(d, to, reads, piece, at, done, p);
  }
  if (threadIdx.x % 32 == 0) wait_stores_done();
}

extern "C" __global__ void __launch_bounds__(block_threads, 1)
    __cluster_dims__(cluster_size(s), 1, 1)
        matmul(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
               const __grid_constant__ TensorMap c, const __grid_constant__ TensorMap slope,
               const __grid_constant__ TensorMap read, const __grid_constant__ MatmulArguments p) {
  extern __shared__ unsigned char shared[];
  Ring ring;
  ring.a = (shared_address(shared) + 1023) & ~1023u;
  ring.b = ring.a + s.stages * a_stage_bytes(s);
  const int warp = __shfl_sync(~0u, threadIdx.x / 32, 0), group = warp / 4;
  const u32 staging = ring.b + s.stages * b_stage_bytes(s), units = staging + store_bytes(s);
  ring.full = units + read_bytes(s);
  ring.empty = ring.full + 8 * s.stages;
  const u32 read_barriers = ring.empty + 8 * s.stages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < s.stages; ++i) {
      barrier_init(ring.full + 8 * i, 1);
      barrier_init(ring.empty + 8 * i, cluster_size(s));
    }
    for (int i = 0; i < read_barrier_bytes(s) / 8; ++i) barrier_init(read_barriers + 8 * i, 1);
    barrier_init_visible();
    prefetch_map(&a), prefetch_map(&b), prefetch_map(&c);
  }
  cluster_barrier();
  if (group == 2) {
    give_registers<producer_registers>();
    if (threadIdx.x == 256) produce(ring, Walk(p), &a, &b, p);
  } else {
    take_registers<consumer_registers>();
    const Writes to{&c, &slope, staging + warp * s.store_units * store_unit_bytes, false};
    const Reads reads{&read, units + warp * 2 * store_unit_bytes, read_barriers + warp * 16};
    consume(ring, Walk(p), to, reads, p, group);
  }
  cluster_barrier();  // a neighbour may still write into this CTA or arrive at its barriers
}
