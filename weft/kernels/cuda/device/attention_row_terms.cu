// What attention's backward pass needs of each row of queries: the logarithm to base 2 of its
// softmax's sum, and the product of o with its gradient (what all gradients of its scores have in
// common). Rows behind a segment's last, and such as see no key, get +infinity: their softmax is 0.
// A CTA takes a block of 64 rows of one head; head_dim / 8 threads a row.
#include "weft/kernels/cuda/attention_backward_tiles.h"
#include "weft/kernels/cuda/device/ptx.cuh"

using namespace weft::kernels::cuda;

// Spliced in by attention_backward.cpp.
#include "schedule"

struct Rows {
  const u16* data;
  long long row_stride, head_stride;
};

struct alignas(16) Eight {
  u32 pairs[4];
};
INLINE Eight load_eight(const Rows& x, long long row, int head, int column) {
  return *(const Eight*)(x.data + row * x.row_stride + head * x.head_stride + column);
}
INLINE float product(const Eight& a, const Eight& b) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    sum = fmaf(low_half<s.f16>(a.pairs[i]), low_half<s.f16>(b.pairs[i]), sum);
    sum = fmaf(high_half<s.f16>(a.pairs[i]), high_half<s.f16>(b.pairs[i]), sum);
  }
  return sum;
}

extern "C" __global__ void __launch_bounds__(256)
    attention_row_terms(const __grid_constant__ BackwardArguments p, Rows o, Rows d_o,
                        const float* lse, float* terms) {
  constexpr int lanes = s.head_dim / 8, rounds = backward_queries * lanes / 256;
  const KernelSegment& segment = p.list.segments[blockIdx.z];
  if (blockIdx.x == 0 && blockIdx.y == 0 && blockIdx.z == 0 && threadIdx.x == 0) *p.next_tile = 0;
  if (blockIdx.x >= query_blocks(segment.q_len)) return;
  const int head = blockIdx.y;
  const long long block = (long long)(segment.q_blocks + blockIdx.x) * p.q_heads + head;
  const int column = threadIdx.x % lanes * 8;
  float sums[rounds];
#pragma unroll
  for (int i = 0; i < rounds; ++i) {
    const int row = blockIdx.x * backward_queries + i * (256 / lanes) + threadIdx.x / lanes;
    const long long at = segment.q_begin + row;
    sums[i] = 0;
    if (row < segment.q_len)
      sums[i] = product(load_eight(o, at, head, column), load_eight(d_o, at, head, column));
  }
#pragma unroll
  for (int i = 0; i < rounds; ++i) {
    const int in_block = i * (256 / lanes) + threadIdx.x / lanes;
    const int row = blockIdx.x * backward_queries + in_block;
    for (int other = 1; other < lanes; other *= 2) sums[i] += __shfl_xor_sync(~0u, sums[i], other);
    if (column != 0) continue;
    float* to = terms + block * (2 * backward_queries) + in_block;
    const float infinity = __int_as_float(0x7f800000);
    const float own = row < segment.q_len
                          ? lse[(long long)(segment.q_begin + row) * p.q_heads + head]
                          : -infinity;
    to[0] = own == -infinity ? infinity : own * 1.4426950408889634f;
    to[backward_queries] = sums[i];
  }
  if (threadIdx.x == 0) p.added[block] = 0;
}
