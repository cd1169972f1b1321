// Attention's backward pass on Hopper, deterministic, after FlashAttention-3 (Shah et al.,
// arXiv:2407.08608). A CTA keeps 128 keys and values of one head and the sums of their gradients in
// registers, 64 keys a warpgroup, and goes through the queries that see them, 64 at a time:
//
//   scores' = K Q'    softmax P' = exp(scale scores' - lse)    dP' = V dO'    (' turned)
//   slopes S' = P' (dP' - row term)    dV += P' dO    dK += S' Q    dQ += S K
//
// The gradients of queries are sums over tiles of keys in device memory. Tiles take turns (a
// counter for each block of queries, watched by warps of their own), the last keys first, so that
// bits do not depend on timing; the tile with the first keys rounds the sum to 16 bits.
//
// Persistent: one CTA a multiprocessor. Whoever waits for a turn waits for a tile with a lower
// index, which has been started before: the lowest can always go on.
#include "weft/kernels/cuda/attention_backward_tiles.h"
#include "weft/kernels/cuda/device/ptx.cuh"
#include "weft/kernels/cuda/layout.h"

using namespace weft::kernels::cuda;

// Spliced in by attention_backward.cpp: `constexpr BackwardSchedule s`; score_product(),
// key_product(), query_product().
#include "products"
#include "schedule"

constexpr int atoms = s.head_dim / 64;  // columns of 64 that a row is cut into

#include "weft/kernels/cuda/device/attention_backward_consumer.cuh"

INLINE void start_barriers(const Places& at) {
  constexpr int tile_readers = 10, worker_warps = 8;
  for (int i = 0; i < backward_barriers(s); ++i) {
    const bool two_groups = i == keys_empty || i == values_empty ||
                            (i >= query_full && (i - query_full) / s.stages % 2 == 1);
    const int arrivals = i == tile_empty || i == tile_empty + 1 ? tile_readers
                         : i == sum_full || i == sum_full + 1   ? worker_warps
                         : two_groups                           ? 2
                                                                : 1;
    barrier_init(at.barrier(i), arrivals);
  }
  barrier_init_visible();
}

extern "C" __global__ void __launch_bounds__(block_threads, 1)
    attention_backward(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k,
                       const __grid_constant__ TensorMap v, const __grid_constant__ TensorMap d_o,
                       const __grid_constant__ TensorMap dk, const __grid_constant__ TensorMap dv,
                       const __grid_constant__ BackwardArguments p) {
  extern __shared__ unsigned char shared[];
  const Places at((shared_address(shared) + 1023) & ~1023u);
  if (threadIdx.x == 0) start_barriers(at);
  __syncthreads();
  const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
  if (group == 2) {
    give_registers<producer_registers>();
    if (threadIdx.x == 256) Feeder{at, &q, &k, &v, &d_o, p}.run();
    if (threadIdx.x == 288) add_sums(at, p, 0);
    if (threadIdx.x == 320) add_sums(at, p, 1);
  } else {
    take_registers<consumer_registers>();
    Worker(at, p, group).run(&dk, &dv);
  }
}
