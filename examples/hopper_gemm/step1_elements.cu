// One thread an element of C, as the definition says. The 32 threads of a warp are neighbours in a
// row of C, so each load of B touches 32 rows: 32 lines of the cache for 64 operations.
#include "examples/hopper_gemm/tiles.cuh"

extern "C" __global__ void __launch_bounds__(shapes[1].threads)
    step1(const u16* a, const u16* b, u16* c) {
  const int row = blockIdx.y * 32 + threadIdx.x / 32, column = blockIdx.x * 32 + threadIdx.x % 32;
  float sum = 0;
  for (int k = 0; k < n; ++k) sum += low_bf16(a[row * n + k]) * low_bf16(b[column * n + k]);
  c[row * n + column] = u16(pack_bf16(sum, 0));
}
