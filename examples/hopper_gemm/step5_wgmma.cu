// wgmma: four warps, a warpgroup, multiply [64][16] by [16][128] in one instruction, which reads
// both operands out of swizzled shared memory by itself. It runs behind the threads' back; here
// they wait for it at the end of each stage. Everything else is as before.
#include "examples/hopper_gemm/wgmma_stage.cuh"

constexpr Shape s = shapes[5];  // 128 x 128 of C, 2 warpgroups, 3 stages
constexpr int steps = n / reduced_per_stage;

extern "C" __global__ void __launch_bounds__(s.threads, 2)
    step5(const u16* a, const u16* b, u16* c) {
  const Ring<s> ring;
  const int row = blockIdx.y * s.tile_m, column = blockIdx.x * s.tile_n;
  const int group_row = threadIdx.x / 128 * 64, warp_row = threadIdx.x / 32 * 16;
  a += row * n, b += column * n;
  float d[s.tile_n / 2];
  for (int step = 0; step < s.stages - 1; ++step) copy_stage(ring, a, b, step);
  for (int step = 0; step < steps; ++step) {
    wait_copies<s.stages - 2>();
    publish_to_async();  // the tensor cores read by another way than the threads wrote
    __syncthreads();
    copy_stage(ring, a, b, step + s.stages - 1);
    issue_products(d, ring.a(step % s.stages) + group_row * row_bytes, ring.b(step % s.stages),
                   step == 0);
    wgmma_wait<0>();
  }
  settle(d);
  write_rows(c, d, row + warp_row, column);
}
