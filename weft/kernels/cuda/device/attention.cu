// Softmax attention, forward, on Hopper, after FlashAttention-3 (Shah et al., arXiv:2407.08608): a
// producer warp feeds blocks of keys and values; two or three warpgroups of 64 queries each issue
// the scores of the next block together with the products of this one, do the softmax beneath them,
// and take turns at the tensor cores. Persistent: one CTA a multiprocessor, which takes the next
// tile from a counter; long tiles first. Heads of 64 begin a tile beneath the end of the one
// before.
//
// What a row gets depends on its own scores alone. Blocks of keys count from the first key and go
// upwards; after each chunk the sums start anew, and chunks are combined in ascending order, so
// that decode may compute them apart.
#include "weft/kernels/cuda/attention_tiles.h"
#include "weft/kernels/cuda/device/ptx.cuh"
#include "weft/kernels/cuda/layout.h"

using namespace weft::kernels::cuda;

// Spliced in by attention.cpp: `constexpr AttentionSchedule s`, score_product(),
// value_product().
#include "products"
#include "schedule"

constexpr int scores = s.key_block / 2, sums = s.head_dim / 2;  // of one thread
constexpr int atoms = s.head_dim / 64;  // columns of 64 that a row is cut into
constexpr int chunk_blocks = s.chunk / s.key_block;

#include "weft/kernels/cuda/device/attention_walk.cuh"

INLINE void consume(const Places& at, const TensorMap* o, const AttentionArguments& p, int group) {
  TileWalk walk(at, p, group);
  if (group == s.groups - 1) named_barrier_arrive(2, 256);  // warpgroup 0 goes first
  if (overlaps(s))
    walk.run_overlapping(o);
  else
    walk.run_apart(o);
  if (threadIdx.x % 32 == 0) wait_stores_done();
}

extern "C" __global__ void __launch_bounds__(attention_threads(s), 1)
    attention(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k,
              const __grid_constant__ TensorMap v, const __grid_constant__ TensorMap o,
              const __grid_constant__ AttentionArguments p) {
  extern __shared__ unsigned char shared[];
  const Places at((shared_address(shared) + 1023) & ~1023u);
  if (threadIdx.x == 0) {
    barrier_init(at.q_full, 1), barrier_init(at.q_empty, s.groups);
    for (int i = 0; i < s.stages; ++i) {
      barrier_init(at.k_full + 8 * i, 1), barrier_init(at.k_empty + 8 * i, s.groups);
      barrier_init(at.v_full + 8 * i, 1), barrier_init(at.v_empty + 8 * i, s.groups);
    }
    barrier_init_visible();
  }
  __syncthreads();
  const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
  if (group == s.groups) {
    give_registers<feeder_registers(s)>();
    if (threadIdx.x % 128 == 0) Feeder{at, &q, &k, &v, p}.run();
  } else {
    take_registers<worker_registers(s)>();
    consume(at, &o, p, group);
  }
}
