// FlashAttention (Dao et al., arXiv:2205.14135) on mma.sync: a block of scores lives in registers
// only. The softmax is brought up to date block by block: when a larger score comes, what has been
// summed so far is scaled down. The scores' registers are, as they lie, the left operand of the
// product with the values. Keys and values of the next block are copied beneath.
#include "examples/hopper_gemm/attention_tiles.h"
#include "examples/hopper_gemm/tiles.cuh"

constexpr int box = 64 * row_bytes;  // 64 rows of 64 numbers: half of 64 rows of a head

// Two rows of a thread, lane / 4 and that plus 8: the largest score, and the thread's share of the
// sum.
struct Softmax {
  float most[2] = {-1e30f, -1e30f}, sum[2] = {};

  // Scores to weights; decay: what sums so far are to be multiplied by.
  INLINE void add_block(float (&x)[tile_keys / 2], float (&decay)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float now = most[r];
#pragma unroll
      for (int i = 2 * r; i < tile_keys / 2; i += 4) now = fmaxf(now, fmaxf(x[i], x[i + 1]));
      now = fmaxf(now, __shfl_xor_sync(~0u, now, 1));
      now = fmaxf(now, __shfl_xor_sync(~0u, now, 2));
      decay[r] = exp2_fast((most[r] - now) * (scale * log2_e));
      most[r] = now, sum[r] *= decay[r];
#pragma unroll
      for (int i = 2 * r; i < tile_keys / 2; i += 4)
#pragma unroll
        for (int j = i; j < i + 2; ++j) {
          x[j] = exp2_fast((x[j] - now) * (scale * log2_e));
          sum[r] += x[j];
        }
    }
  }
  INLINE float inverse(int r) {
    sum[r] += __shfl_xor_sync(~0u, sum[r], 1);
    return 1 / (sum[r] + __shfl_xor_sync(~0u, sum[r], 2));
  }
};

// 64 rows of a head, as two boxes.
INLINE void copy_rows(u32 to, const u16* from) {
  copy_tile<64, online_threads>(to, from, width);
  copy_tile<64, online_threads>(to + box, from + 64, width);
}

// x [16][64] = q [16][128] k [64][128] turned; q: this warp's rows.
INLINE void multiply_keys(float (&x)[tile_keys / 2], u32 q, u32 k) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < tile_keys / 2; ++i) x[i] = 0;
#pragma unroll
  for (int i = 0; i < head_dim / 16; ++i) {
    u32 left[4], right[4];
    load_blocks(left, q + i / 4 * box + swizzled_offset(lane % 16, i % 4 * 2 + lane / 16));
#pragma unroll
    for (int j = 0; j < tile_keys / 16; ++j) {
      const int key = j * 16 + lane / 16 * 8 + lane % 8;
      load_blocks(right, k + i / 4 * box + swizzled_offset(key, i % 4 * 2 + lane / 8 % 2));
      mma(x + 8 * j, left, right[0], right[1]);
      mma(x + 8 * j + 4, left, right[2], right[3]);
    }
  }
}

// o [16][128] += weights [16][64] v [64][128].
INLINE void multiply_values(float (&o)[head_dim / 2], const float (&x)[tile_keys / 2], u32 v) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < tile_keys / 16; ++i) {
    const float* w = x + 8 * i;
    const u32 left[4] = {pack_bf16(w[0], w[1]), pack_bf16(w[2], w[3]), pack_bf16(w[4], w[5]),
                         pack_bf16(w[6], w[7])};
    const int key = i * 16 + lane % 16;
#pragma unroll
    for (int j = 0; j < head_dim / 16; ++j) {
      u32 right[4];
      load_blocks_turned(right, v + j / 4 * box + swizzled_offset(key, j % 4 * 2 + lane / 16));
      mma(o + 8 * j, left, right[0], right[1]);
      mma(o + 8 * j + 4, left, right[2], right[3]);
    }
  }
}

// The last block: a query sees keys up to its own position. row: of the thread, in the block.
INLINE void mask(float (&x)[tile_keys / 2], int row) {
#pragma unroll
  for (int i = 0; i < tile_keys / 2; ++i)
    if (i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2 > row + i / 2 % 2 * 8) x[i] = -1e30f;
}

extern "C" __global__ void __launch_bounds__(online_threads, 2)
    online(const u16* q, const u16* k, const u16* v, u16* o_out) {
  extern __shared__ unsigned char shared[];
  const u32 queries = (shared_address(shared) + 1023) & ~1023u, keys = queries + rows_bytes;
  const u32 values = keys + 2 * rows_bytes;
  const int last = gridDim.x - 1 - blockIdx.x;  // block of keys; those with the most work first
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16;
  const u64 head = u64(blockIdx.z) * length * width + blockIdx.y * head_dim;
  k += head, v += head;
  const u64 first = head + u64(last) * tile_queries * width;
  copy_rows(queries, q + first);
  copy_rows(keys, k), copy_rows(values, v);
  commit_copies();
  float o[head_dim / 2] = {};
  Softmax softmax;
  for (int j = 0; j <= last; ++j) {
    wait_copies<0>();
    __syncthreads();  // this block has come, and all are done with the one before
    if (j < last) {
      const u64 next = u64(j + 1) * tile_keys * width;
      copy_rows(keys + (j + 1) % 2 * rows_bytes, k + next);
      copy_rows(values + (j + 1) % 2 * rows_bytes, v + next);
      commit_copies();
    }
    float x[tile_keys / 2], decay[2];
    multiply_keys(x, queries + row * row_bytes, keys + j % 2 * rows_bytes);
    if (j == last) mask(x, row + lane / 4);
    softmax.add_block(x, decay);
#pragma unroll
    for (int i = 0; i < head_dim / 2; ++i) o[i] *= decay[i / 2 % 2];
    multiply_values(o, x, values + j % 2 * rows_bytes);
  }
  const float inverse[2] = {softmax.inverse(0), softmax.inverse(1)};
  u16* to = o_out + first + (row + lane / 4) * width + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < head_dim / 2; i += 2)
    *(u32*)(to + i / 4 * 8 + i / 2 % 2 * 8 * width) =
        pack_bf16(o[i] * inverse[i / 2 % 2], o[i + 1] * inverse[i / 2 % 2]);
}
