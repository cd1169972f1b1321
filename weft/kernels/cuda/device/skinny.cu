// The matrix product with at most 64 rows on Hopper: what takes time is reading W, once. A CTA
// takes some rows of W through all of k; a producer thread keeps a ring filled through the copy
// engine; a warpgroup multiplies 64 rows of A, of which those behind the last are whatever lies
// there and belong to nobody. An element of C is one ascending chain of k16 instructions, as in
// matmul.cu.
//
// Launched so that it may start while the work before it ends: weights that were there before can
// be fetched at once, A and C wait.
#include "weft/kernels/cuda/device/ptx.cuh"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/skinny_tiles.h"

using namespace weft::kernels::cuda;

// Spliced in by skinny.cpp: `constexpr SkinnySchedule s`, product().
#include "schedule"
constexpr bool f32_results = false;
#include "product"
#include "weft/kernels/cuda/device/matmul_epilogue.cuh"

constexpr int steps_a_stage = s.boxes * reduced_per_stage, sums = s.rows / 2;  // of one thread
constexpr int columns = result_columns(s);                                     // of C

// Addresses of stage 0: A, W, barriers. What is read behind A's last row lies in the ring too.
struct Ring {
  u32 a, w, full, empty;
};
using Stage = RingPlace<s.stages>;

// A box of A has as many rows as there are: rows that are not there would be filled with zeros,
// slower than others are read. Of SwiGLU the gates' weights come first, then the ups'.
INLINE void load_weights(const Ring& ring, int stage, const TensorMap* w, int step,
                         const MatmulArguments& p) {
  barrier_expect_bytes(ring.full + 8 * stage, s.boxes * (s.rows + p.m) * row_bytes);
  for (int i = 0; i < s.boxes; ++i)
    for (int row = 0; row < s.rows; row += columns)
      load_box(ring.w + ((stage * s.boxes + i) * s.rows + row) * row_bytes, w,
               step * steps_a_stage + i * reduced_per_stage,
               blockIdx.x * columns + (row == 0 ? 0 : p.n / 2), ring.full + 8 * stage);
}
INLINE void load_rows(const Ring& ring, int stage, const TensorMap* a, int step) {
  for (int i = 0; i < s.boxes; ++i)
    load_box(ring.a + (stage * s.boxes + i) * s.a_rows * row_bytes, a,
             step * steps_a_stage + i * reduced_per_stage, 0, ring.full + 8 * stage);
}

// What was there before the work ahead, if anything, is read while that ends.
INLINE void produce(const Ring& ring, const TensorMap* a, const TensorMap* w, int steps,
                    bool constant_weights, const MatmulArguments& p) {
  const int early = constant_weights ? min(steps, s.stages) : 0;
  for (int step = 0; step < early; ++step) load_weights(ring, step, w, step, p);
  prefetch_map(a);
  wait_for_work_before();
  Stage place;
#pragma unroll 1
  for (int step = 0; step < steps; ++step, place.advance()) {
    barrier_wait(ring.empty + 8 * place.stage, place.phase ^ 1);
    if (step >= early) load_weights(ring, place.stage, w, step, p);
    load_rows(ring, place.stage, a, step);
  }
}

INLINE void multiply(float (&c)[sums], const Ring& ring, int steps) {
  const u64 a = operand_descriptor(ring.a, false), w = operand_descriptor(ring.w, false);
  Stage place;
  int previous = -1;
#pragma unroll 1
  for (int step = 0; step < steps; ++step, place.advance()) {
    barrier_wait(ring.full + 8 * place.stage, place.phase);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < 4 * s.boxes; ++i) {
      const int box = place.stage * s.boxes + i / 4;
      product(c, a + (box * s.a_rows * row_bytes >> 4) + i % 4 * descriptor_step(false),
              w + (box * s.rows * row_bytes >> 4) + i % 4 * descriptor_step(false),
              step > 0 || i > 0);
    }
    wgmma_commit();
    wgmma_wait<1>();  // the step before has ended
    if (previous >= 0 && threadIdx.x == 0) barrier_arrive(ring.empty + 8 * previous);
    previous = place.stage;
  }
  wgmma_wait<0>();
  settle(c);
}

// A thread writes its pairs where they belong: rows are few.
INLINE Pair load_pair_at(const u16* from, long long row_stride, int row, int column) {
  return unpacked(*(const u32*)(from + row * row_stride + column));
}
INLINE void store_pair_at(u16* to, long long row_stride, int row, int column, Pair v) {
  *(u32*)(to + row * row_stride + column) = pack_halves<s.f16>(v.x, v.y);
}
INLINE void write_pair(const Sums& sum, int row, int column, const SkinnyResults& to, int n) {
  constexpr MatmulEpilogue e = s.epilogue;
  Pair read[1];
  if constexpr (e.times_slope) read[0] = load_pair_at(to.slope, to.slope_row_stride, row, column);
  if constexpr (e.residual)
    read[0] = load_pair_at(to.residual, to.residual_row_stride, row, column);
  const Results r = finish(sum, read);
  store_pair_at(to.c, to.c_row_stride, row, column, r.v[0]);
#pragma unroll
  for (int i = 1; i < outputs(e); ++i)
    store_pair_at(to.slope, to.slope_row_stride, row, column + (i - 1) * (n / 2), r.v[i]);
}

INLINE void write(float (&c)[sums], const SkinnyResults& to, const MatmulArguments& p) {
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < columns / 2; i += 4) {
    const int n = blockIdx.x * columns + 2 * i + lane % 4 * 2;
    if (n >= (s.epilogue.swiglu ? p.n / 2 : p.n)) continue;
    const Sums bias = load_biases(n, p);
#pragma unroll
    for (int j = i; j < i + 4; j += 2)
      if (row + 4 * (j - i) < p.m)
        write_pair(scaled(c + j, c + j + sums / 2, bias, p), row + 4 * (j - i), n, to, p.n);
  }
}

extern "C" __global__ void __launch_bounds__(skinny_threads, 1)
    skinny(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap w,
           const __grid_constant__ SkinnyResults results, int constant_weights,
           const __grid_constant__ MatmulArguments p) {
  extern __shared__ unsigned char shared[];
  let_next_start();
  Ring ring;
  ring.a = (shared_address(shared) + 1023) & ~1023u;
  ring.w = ring.a + s.stages * s.boxes * s.a_rows * row_bytes;
  ring.full = ring.w + s.stages * s.boxes * s.rows * row_bytes;
  ring.empty = ring.full + 8 * s.stages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < s.stages; ++i) {
      barrier_init(ring.full + 8 * i, 1);
      barrier_init(ring.empty + 8 * i, 1);
    }
    barrier_init_visible();
  }
  __syncthreads();
  const int warp = __shfl_sync(~0u, threadIdx.x / 32, 0);
  const int steps = (p.k + steps_a_stage - 1) / steps_a_stage;
  if (warp == 4) {
    if (threadIdx.x % 32 == 0) produce(ring, &a, &w, steps, constant_weights, p);
  } else {
    float sum[sums];
    multiply(sum, ring, steps);
    write(sum, results, p);
  }
}
