// 8 x 8 sums a thread, in registers: 16 numbers from shared memory serve 64 multiply-adds. Tiles
// are kept turned, [k][row], so that a thread reads four neighbours at once. The multipliers
// themselves are now what limits.
#include "examples/hopper_gemm/tiles.cuh"

constexpr Shape s = shapes[3];  // 128 x 128 of C, 256 threads
constexpr int depth = 16;       // of k in shared memory

struct alignas(16) Chunk {
  u32 pairs[4];  // 8 numbers
};

// 8 numbers of k for one row, as f32 down a column of the tile.
INLINE void store_turned(float (*tile)[128], const Chunk& x, int row, int k) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    tile[k + 2 * i][row] = low_bf16(x.pairs[i]);
    tile[k + 2 * i + 1][row] = high_bf16(x.pairs[i]);
  }
}

// Rows 4 y .. 4 y + 3 and 64 more of them, columns likewise.
INLINE void multiply(float (&sums)[8][8], const float* a, const float* b, int x, int y) {
  float left[8], right[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    left[i] = a[i / 4 * 64 + y * 4 + i % 4];
    right[i] = b[i / 4 * 64 + x * 4 + i % 4];
  }
#pragma unroll
  for (int i = 0; i < 8; ++i)
#pragma unroll
    for (int j = 0; j < 8; ++j) sums[i][j] += left[i] * right[j];
}

extern "C" __global__ void __launch_bounds__(s.threads, 2)
    step3(const u16* a, const u16* b, u16* c) {
  __shared__ alignas(16) float tile_a[depth][128], tile_b[depth][128];
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  const int row = threadIdx.x % 128, half = threadIdx.x / 128 * 8;
  const u16* from_a = a + (blockIdx.y * 128 + row) * n + half;
  const u16* from_b = b + (blockIdx.x * 128 + row) * n + half;
  float sums[8][8] = {};
  Chunk next_a = *(const Chunk*)from_a, next_b = *(const Chunk*)from_b;
  for (int k = 0; k < n; k += depth) {
    store_turned(tile_a, next_a, row, half);
    store_turned(tile_b, next_b, row, half);
    __syncthreads();
    if (k + depth < n) {  // on its way while this tile is multiplied
      next_a = *(const Chunk*)(from_a + k + depth);
      next_b = *(const Chunk*)(from_b + k + depth);
    }
#pragma unroll
    for (int i = 0; i < depth; ++i) multiply(sums, tile_a[i], tile_b[i], x, y);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 8; ++i)
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
      u16* to = c + (blockIdx.y * 128 + i / 4 * 64 + y * 4 + i % 4) * n + blockIdx.x * 128;
      *(u32*)(to + j / 4 * 64 + x * 4 + j % 4) = pack_bf16(sums[i][j], sums[i][j + 1]);
    }
}
