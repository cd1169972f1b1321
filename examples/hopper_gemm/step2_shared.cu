// A block of threads first copies 32 x 32 numbers of A and of B to shared memory, along their rows,
// and then works on the copies: device memory is read a thirty-second as often, in whole lines.
// What is left are two reads of shared memory for each multiply-add.
#include "examples/hopper_gemm/tiles.cuh"

constexpr int side = 32;

extern "C" __global__ void __launch_bounds__(shapes[2].threads)
    step2(const u16* a, const u16* b, u16* c) {
  // Rows one longer than they need be: a column then lies in 32 different banks.
  __shared__ float tile_a[side][side + 1], tile_b[side][side + 1];
  const int x = threadIdx.x % side, y = threadIdx.x / side;
  const int row = blockIdx.y * side, column = blockIdx.x * side;
  float sum = 0;
  for (int k = 0; k < n; k += side) {
    tile_a[y][x] = low_bf16(a[(row + y) * n + k + x]);
    tile_b[y][x] = low_bf16(b[(column + y) * n + k + x]);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < side; ++i) sum += tile_a[y][i] * tile_b[x][i];
    __syncthreads();
  }
  c[(row + y) * n + column + x] = u16(pack_bf16(sum, 0));
}
