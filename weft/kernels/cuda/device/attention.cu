// Softmax attention, forward, on Hopper, after FlashAttention-3 (Shah et al., arXiv:2407.08608): a
// producer warp feeds blocks of keys and values; two warpgroups of 64 queries each issue the scores
// of the next block together with the products of this one, do the softmax beneath them, and take
// turns at the tensor cores. Persistent: one CTA a multiprocessor, which takes the next tile from a
// counter; long tiles first.
//
// What a row gets depends on its own scores alone. Blocks of keys count from the first key and go
// upwards; after each chunk the sums start anew, and chunks are combined in ascending order, so
// that decode may compute them apart.
#include "weft/kernels/cuda/attention_tiles.h"
#include "weft/kernels/cuda/device/ptx.cuh"
#include "weft/kernels/cuda/layout.h"

using namespace weft::kernels::cuda;

// Spliced in by attention.cpp: `constexpr AttentionSchedule s`, score_product(), value_product().
#include "products"
#include "schedule"

constexpr int scores = s.key_block / 2, sums = s.head_dim / 2;  // of one thread
constexpr int atoms = s.head_dim / 64;  // columns of 64 that a row is cut into
constexpr int chunk_blocks = s.chunk / s.key_block;

#include "weft/kernels/cuda/device/attention_consumer.cuh"

INLINE void consume(const Places& at, const TensorMap* o, const AttentionArguments& p, int group) {
  const int warp = group * 4 + threadIdx.x % 128 / 32;
  Consumer c{at, p, group};
  c.column = threadIdx.x % 4 * 2;
  c.q = operand_descriptor(at.q + group * 64 * row_bytes, false);
  c.k = operand_descriptor(at.k, false);
  c.v = values_descriptor(at.v);
  c.total = at.total + warp * (16 * s.head_dim * 4) + threadIdx.x % 32 * 16;
  if (group == 1) named_barrier_arrive(2, 256);  // warpgroup 0 goes first
  u32 phase = 0;
  for (;; phase ^= 1) {
    barrier_wait(at.q_full, phase);
    const int index = load_int(at.tile + 4 * phase);
    if (index >= attention_tiles(p)) break;
    const AttentionTile tile = attention_tile(p, s, index);
    c.run(tile);
    c.write(tile, o);
  }
  if (threadIdx.x % 32 == 0) wait_stores_done();
}

extern "C" __global__ void __launch_bounds__(block_threads, 1)
    attention(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k,
              const __grid_constant__ TensorMap v, const __grid_constant__ TensorMap o,
              const __grid_constant__ AttentionArguments p) {
  extern __shared__ unsigned char shared[];
  Places at;
  at.q = (shared_address(shared) + 1023) & ~1023u;
  at.k = at.q + query_bytes(s);
  at.v = at.k + s.stages * key_bytes(s);
  at.total = at.v + s.stages * key_bytes(s);
  at.q_full = at.total + total_bytes(s);
  at.q_empty = at.q_full + 8;
  at.k_full = at.q_empty + 8;
  at.k_empty = at.k_full + 8 * s.stages;
  at.v_full = at.k_empty + 8 * s.stages;
  at.v_empty = at.v_full + 8 * s.stages;
  at.tile = at.v_empty + 8 * s.stages;
  if (threadIdx.x == 0) {
    barrier_init(at.q_full, 1), barrier_init(at.q_empty, 2);
    for (int i = 0; i < s.stages; ++i) {
      barrier_init(at.k_full + 8 * i, 1), barrier_init(at.k_empty + 8 * i, 2);
      barrier_init(at.v_full + 8 * i, 1), barrier_init(at.v_empty + 8 * i, 2);
    }
    barrier_init_visible();
  }
  __syncthreads();
  const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
  if (group == 2) {
    give_registers<producer_registers>();
    if (threadIdx.x == 256) produce(at, &q, &k, &v, p);
  } else {
    take_registers<consumer_registers>();
    consume(at, &o, p, group);
  }
}
