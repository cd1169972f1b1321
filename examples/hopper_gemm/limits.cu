// What the units of the device do when nothing else is in their way: the roofs of the ladder.
#include "examples/hopper_gemm/wgmma_stage.cuh"  // m64n256k16

// Bits of two bf16 numbers of either sign between 1/2 and 2: tensor cores take less power, and so
// go faster, on simple numbers.
INLINE u32 some_pair(u32 seed) {
  seed = (seed + 1) * 2654435761u;
  seed ^= seed >> 15;
  return (seed * 2246822519u & 0x80ff80ff) | 0x3f003f00;
}
template <int count>
INLINE float sum_of(const float (&d)[count]) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < count; ++i) sum += d[i];
  return sum;
}

// 32 operations a round.
extern "C" __global__ void __launch_bounds__(256) fma_limit(float* out, int rounds) {
  float x[16];
#pragma unroll
  for (int i = 0; i < 16; ++i) x[i] = threadIdx.x + i;
  for (int r = 0; r < rounds; ++r)
#pragma unroll
    for (int i = 0; i < 16; ++i) x[i] = fmaf(x[i], 0.999f, 0.5f);
  if (sum_of(x) == 0.123f) *out = 1;
}

// A warp: 8 products of 16 x 8 x 16 a round.
extern "C" __global__ void __launch_bounds__(256) mma_limit(float* out, int rounds) {
  float d[32] = {};
  u32 a[2][4], b[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    a[0][i] = some_pair(threadIdx.x * 16 + i), a[1][i] = some_pair(threadIdx.x * 16 + 4 + i);
    b[i] = some_pair(threadIdx.x * 16 + 8 + i);
  }
  for (int r = 0; r < rounds; ++r)
#pragma unroll
    for (int i = 0; i < 8; ++i) mma(d + 4 * i, a[i % 2], b[i / 2], b[(i / 2 + 1) % 4]);
  if (sum_of(d) == 0.123f) *out = 1;
}

// A warpgroup: a stage of step 7, 64 x 256 x 64, a round.
extern "C" __global__ void __launch_bounds__(256, 1) wgmma_limit(float* out, int rounds) {
  constexpr Shape s = shapes[7];
  const Ring<s> ring;
  for (int i = threadIdx.x * 4; i < s.stages * stage_bytes(s); i += 1024)
    store_int(ring.start + i, some_pair(i));
  publish_to_async();
  __syncthreads();
  const int group_row = threadIdx.x / 128 * 64;
  float d[s.tile_n / 2];
  for (int r = 0; r < rounds; ++r) {
    const int stage = r % s.stages;
    issue_products(d, ring.a(stage) + group_row * row_bytes, ring.b(stage), r == 0);
    wgmma_wait<1>();
  }
  wgmma_wait<0>();
  settle(d);
  if (sum_of(d) == 0.123f) *out = 1;
}

// A thread: 16 bytes of shared memory a round. Where the next lie is read with them, or the
// compiler would read once.
extern "C" __global__ void __launch_bounds__(1024) shared_limit(float* out, int rounds) {
  __shared__ alignas(16) float values[4096];
  u32 at = shared_address(values) + threadIdx.x * 16;
  store_int(at, at);
  for (int r = 0; r < rounds; ++r) {
    float x[4];
    load_four(at, x);
    at = __float_as_uint(x[0]);
  }
  if (at == 0) *out = 1;
}

// A block: a run of 16 KB a round, by the copy engine, out of what fits L2.
extern "C" __global__ void __launch_bounds__(32) l2_limit(float* out, int rounds) {
  constexpr int run = 16384, stages = 8, runs = limit_memory_bytes / run;
  extern __shared__ unsigned char shared[];
  const u32 to = (shared_address(shared) + 127) & ~127u, full = to + stages * run;
  if (threadIdx.x > 0) return;
  for (int i = 0; i < stages; ++i) barrier_init(full + 8 * i, 1);
  barrier_init_visible();
  RingPlace<stages> place;
  for (int r = 0; r < rounds + stages; ++r, place.advance()) {
    const u32 barrier = full + 8 * place.stage;
    if (r >= stages) barrier_wait(barrier, place.phase ^ 1);
    if (r >= rounds) continue;
    barrier_expect_bytes(barrier, run);
    load_bytes(to + place.stage * run, (const char*)out + (blockIdx.x * 37 + r) % runs * run, run,
               barrier);
  }
}
