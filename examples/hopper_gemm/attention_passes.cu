// Attention as three products and sums would do it: all scores to memory, their softmax in place,
// then the weighted sum of values; one thread an element. A score is written and read three times.
// Heads lie beside each other: rows of `width` numbers.
#include "examples/hopper_gemm/attention_tiles.h"
#include "examples/hopper_gemm/tiles.cuh"

// Where a row of a head begins.
INLINE int row_at(int pair, int position) {
  return (pair / heads * length + position) * width + pair % heads * head_dim;
}
INLINE float* scores_of(float* x, int pair, int query) {
  return x + (u64(pair) * length + query) * length;
}

// [sequences * heads][queries][keys]; keys behind the query stay as they are.
extern "C" __global__ void __launch_bounds__(1024) scores(const u16* q, const u16* k, float* x) {
  const int key = blockIdx.x * 32 + threadIdx.x % 32, query = blockIdx.y * 32 + threadIdx.x / 32;
  if (key > query) return;
  const u16 *left = q + row_at(blockIdx.z, query), *right = k + row_at(blockIdx.z, key);
  float sum = 0;
  for (int i = 0; i < head_dim; ++i) sum += low_bf16(left[i]) * low_bf16(right[i]);
  scores_of(x, blockIdx.z, query)[key] = sum * scale;
}

// One warp a row.
extern "C" __global__ void __launch_bounds__(32) softmax(float* x) {
  const int query = blockIdx.x;
  float* row = scores_of(x, blockIdx.y, query);
  float most = row[0], sum = 0;
  for (int key = threadIdx.x; key <= query; key += 32) most = fmaxf(most, row[key]);
  for (int i = 16; i > 0; i /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, i));
  for (int key = threadIdx.x; key <= query; key += 32) {
    row[key] = exp2_fast((row[key] - most) * log2_e);
    sum += row[key];
  }
  for (int i = 16; i > 0; i /= 2) sum += __shfl_xor_sync(~0u, sum, i);
  for (int key = threadIdx.x; key <= query; key += 32) row[key] /= sum;
}

extern "C" __global__ void __launch_bounds__(head_dim) values(float* x, const u16* v, u16* o) {
  const int query = blockIdx.x;
  const float* weights = scores_of(x, blockIdx.y, query);
  const u16* column = v + row_at(blockIdx.y, 0) + threadIdx.x;
  float sum = 0;
  for (int key = 0; key <= query; ++key) sum += weights[key] * low_bf16(column[key * width]);
  o[row_at(blockIdx.y, query) + threadIdx.x] = u16(pack_bf16(sum, 0));
}
