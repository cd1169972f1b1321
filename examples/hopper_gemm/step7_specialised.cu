// A warp of its own feeds the ring; two warpgroups only multiply. Nobody waits for the whole block
// any more: a stage has one barrier for "full" and one for "empty". The tile has doubled, to 128 x
// 256: a byte that is read serves a third more operations.
#include "examples/hopper_gemm/wgmma_stage.cuh"

constexpr Shape s = shapes[7];  // 128 x 256 of C, 2 warpgroups and a warp, 4 stages
constexpr int steps = n / reduced_per_stage;

INLINE void produce(const Ring<s>& ring, const TensorMap* a, const TensorMap* b) {
  RingPlace<s.stages> place;
  for (int step = 0; step < steps; ++step, place.advance()) {
    const u32 full = ring.full(place.stage);
    barrier_wait(ring.empty(place.stage), place.phase ^ 1);  // passes at once in the first round
    barrier_expect_bytes(full, stage_bytes(s));
    load_box(ring.a(place.stage), a, step * reduced_per_stage, blockIdx.y * s.tile_m, full);
    load_box(ring.b(place.stage), b, step * reduced_per_stage, blockIdx.x * s.tile_n, full);
  }
}

INLINE void consume(const Ring<s>& ring, float (&d)[s.tile_n / 2]) {
  const int group_row = threadIdx.x / 128 * 64;
  RingPlace<s.stages> place, before;
  for (int step = 0; step < steps; ++step) {
    barrier_wait(ring.full(place.stage), place.phase);
    issue_products(d, ring.a(place.stage) + group_row * row_bytes, ring.b(place.stage), step == 0);
    wgmma_wait<1>();  // the step before has ended: its stage may be filled again
    if (step > 0 && threadIdx.x % 128 == 0) barrier_arrive(ring.empty(before.stage));
    before = place;
    place.advance();
  }
  wgmma_wait<0>();
  settle(d);
}

extern "C" __global__ void __launch_bounds__(s.threads, 1)
    step7(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, u16* c) {
  const Ring<s> ring;
  if (threadIdx.x == 0) ring.init_barriers(2);
  __syncthreads();
  if (threadIdx.x < 256) {
    float d[s.tile_n / 2];
    consume(ring, d);
    write_rows(c, d, blockIdx.y * s.tile_m + threadIdx.x / 32 * 16, blockIdx.x * s.tile_n);
  } else if (threadIdx.x == 256) {
    produce(ring, &a, &b);
  }
}
