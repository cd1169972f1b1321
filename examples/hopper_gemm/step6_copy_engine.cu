// The copy engine (TMA): one thread asks for a whole box of a matrix, and the engine computes the
// addresses, swizzles, and reports to a barrier in shared memory when the bytes have come. No
// thread spends registers or instructions on copying, and products of the next stage are issued
// while those of the one before still run.
#include "examples/hopper_gemm/wgmma_stage.cuh"

constexpr Shape s = shapes[6];  // 128 x 128 of C, 2 warpgroups, 3 stages
constexpr int steps = n / reduced_per_stage;

INLINE void load(const Ring<s>& ring, const TensorMap* a, const TensorMap* b, int step) {
  const int stage = step % s.stages, k = step * reduced_per_stage;
  barrier_expect_bytes(ring.full(stage), stage_bytes(s));
  load_box(ring.a(stage), a, k, blockIdx.y * s.tile_m, ring.full(stage));
  load_box(ring.b(stage), b, k, blockIdx.x * s.tile_n, ring.full(stage));
}

extern "C" __global__ void __launch_bounds__(s.threads, 2)
    step6(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, u16* c) {
  const Ring<s> ring;
  const int group_row = threadIdx.x / 128 * 64, warp_row = threadIdx.x / 32 * 16;
  if (threadIdx.x == 0) {
    ring.init_barriers(1);
    for (int step = 0; step < s.stages - 1; ++step) load(ring, &a, &b, step);
  }
  __syncthreads();
  float d[s.tile_n / 2];
  RingPlace<s.stages> place;
  for (int step = 0; step < steps; ++step, place.advance()) {
    barrier_wait(ring.full(place.stage), place.phase);
    issue_products(d, ring.a(place.stage) + group_row * row_bytes, ring.b(place.stage), step == 0);
    wgmma_wait<1>();  // the step before has ended, in this warpgroup
    __syncthreads();  // and in the other: its stage can be filled
    if (threadIdx.x == 0 && step + s.stages - 1 < steps) load(ring, &a, &b, step + s.stages - 1);
  }
  wgmma_wait<0>();
  settle(d);
  write_rows(c, d, blockIdx.y * s.tile_m + warp_row, blockIdx.x * s.tile_n);
}
