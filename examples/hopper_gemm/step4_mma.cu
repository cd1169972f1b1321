// The tensor cores: a warp multiplies [16][16] by [16][8] in one instruction, mma.sync, from
// registers. ldmatrix brings operands there in the layout the instruction wants; it reads eight
// rows at once, so rows are swizzled (layout.h) to lie in different banks. Copies to shared memory
// (cp.async) pass by the registers and run two stages ahead. A warp has 64 x 64 sums.
#include "examples/hopper_gemm/tiles.cuh"

constexpr Shape s = shapes[4];  // 128 x 128 of C, 4 warps, 3 stages
constexpr int steps = n / reduced_per_stage;

// a, b: this warp's rows of a stage.
INLINE void multiply(float (&d)[4][32], u32 a, u32 b) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int k = 0; k < 4; ++k) {  // 16 each: two chunks of a row
    u32 left[4][4], right[4][4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      load_blocks(left[i], a + swizzled_offset(i * 16 + lane % 16, 2 * k + lane / 16));
#pragma unroll
    for (int j = 0; j < 4; ++j)
      load_blocks(right[j],
                  b + swizzled_offset(j * 16 + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 8; ++j)
        mma(d[i] + 4 * j, left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
  }
}

extern "C" __global__ void __launch_bounds__(s.threads, 2)
    step4(const u16* a, const u16* b, u16* c) {
  const Ring<s> ring;
  const int row = blockIdx.y * s.tile_m, column = blockIdx.x * s.tile_n;
  const int warp = threadIdx.x / 32, warp_row = warp / 2 * 64, warp_column = warp % 2 * 64;
  a += row * n, b += column * n;
  float d[4][32] = {};
  for (int step = 0; step < s.stages - 1; ++step) copy_stage(ring, a, b, step);
  for (int step = 0; step < steps; ++step) {
    wait_copies<s.stages - 2>();  // this thread's part of this stage has come
    __syncthreads();              // everybody's has, and all are done with the stage before
    copy_stage(ring, a, b, step + s.stages - 1);
    multiply(d, ring.a(step % s.stages) + warp_row * row_bytes,
             ring.b(step % s.stages) + warp_column * row_bytes);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) write_rows(c, d[i], row + warp_row + i * 16, column + warp_column);
}
