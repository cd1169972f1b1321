// Attention over a paged cache on Hopper: decode, and queries in small numbers. A piece of work is
// one chunk of keys of one key head for a tile of queries (all query heads that read this head, one
// behind the other); the half of a CTA that ends the last chunk of a tile combines them all, in
// ascending order. A row sees the instructions of attention.cu in their order, so its bits are
// those of training's forward pass.
//
// Persistent: a half takes the next piece from a counter. What a row waits for is memory; the
// tensor cores multiply tiles that are mostly empty and are still done before the next keys come.
#include "weft/kernels/cuda/attention_paged_tiles.h"
#include "weft/kernels/cuda/device/ptx.cuh"
#include "weft/kernels/cuda/layout.h"

using namespace weft::kernels::cuda;

// Spliced in by attention_paged.cpp: `constexpr PagedSchedule s`, score_product(), value_product().
#include "products"
#include "schedule"

constexpr int scores = s.key_block / 2, sums = s.head_dim / 2;  // of one thread
constexpr int atoms = s.head_dim / 64;  // columns of 64 that a row is cut into

#include "weft/kernels/cuda/device/attention_paged_consumer.cuh"

extern "C" __global__ void __launch_bounds__(block_threads, 1)
    attention_paged(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k,
                    const __grid_constant__ TensorMap v, const __grid_constant__ PagedArguments p) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const int warp = __shfl_sync(~0u, threadIdx.x / 32, 0);
  const int half = warp < 8 ? warp / 4 : warp % 2;
  const Half at(shared_address(shared), half);
  int* before = (int*)(shared + shared_bytes(s)) - (paged_max_sequences + 1);
  if ((warp == 8 || warp == 9) && threadIdx.x % 32 == 0) start_barriers(at);
  if (warp == 0) count_pieces(p, before);
  __syncthreads();
  const int first = blockIdx.x * paged_halves + half, pieces = before[p.sequences] * p.kv_heads;
  if (warp >= 8) {
    give_registers<producer_registers>();
    if (warp < 10) Feeder(at, p).run(&q, &k, &v, before, first, pieces);
  } else {
    take_registers<consumer_registers>();
    Consumer(at, p, half).run(before, pieces);
  }
}
