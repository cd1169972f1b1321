// The Hopper instructions that kernels are written in, one short function each. Shared memory is
// addressed by 32-bit window addresses. PTX ISA 8.5 and later, sm_90a.
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;

struct alignas(64) TensorMap {
  u64 opaque[16];
};

#define INLINE __device__ __forceinline__

INLINE u32 shared_address(const void* p) {
  return u32(__cvta_generic_to_shared(p));
}
INLINE u32 cluster_rank() {
  u32 rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
// Read anew at each call: what is computed from it is not kept in registers through a main loop.
INLINE int lane_again() {
  int lane;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}
INLINE void cluster_barrier() {
  asm volatile("barrier.cluster.arrive;\nbarrier.cluster.wait;" ::: "memory");
}
INLINE void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
INLINE void named_barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
template <int registers>
INLINE void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers>
INLINE void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}

// Between kernels of a stream, where the launch allows it: the next may start; the work before this
// kernel has ended, and what it wrote is there.
INLINE void let_next_start() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}
INLINE void wait_for_work_before() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// ---- mbarriers: a phase ends when all arrivals and all announced bytes have come
INLINE void barrier_init(u32 barrier, u32 arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals));
}
INLINE void barrier_init_visible() {
  asm volatile("fence.mbarrier_init.release.cluster;");
}
INLINE void barrier_expect_bytes(u32 barrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
INLINE void barrier_arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// At the barrier of another CTA of the cluster. For work of the tensor cores, which has ended when
// this is called: a release at cluster scope, for ordinary writes, would cost a fence of all of
// memory (MEMBAR.ALL.GPU, half of the matrix product's time).
INLINE void barrier_arrive_at(u32 barrier, u32 cta) {
  asm volatile(
      "{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(barrier),
      "r"(cta)
      : "memory");
}
// Waits for the end of the phase of this parity.
INLINE void barrier_wait(u32 barrier, u32 parity) {
  asm volatile(
      "{\n.reg .pred done;\nAGAIN:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra DONE;\nbra AGAIN;\nDONE:\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// ---- the copy engine
INLINE void prefetch_map(const TensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
INLINE void load_box(u32 to, const TensorMap* map, int x, int y, u32 barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(barrier)
      : "memory");
}
// To the same address, and the same barrier, of every CTA in the mask.
INLINE void load_box_multicast(u32 to, const TensorMap* map, int x, int y, u32 barrier, u16 mask) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(barrier), "h"(mask)
      : "memory");
}
INLINE void load_box_3d(u32 to, const TensorMap* map, int x, int y, int z, u32 barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier)
      : "memory");
}
INLINE void load_box_3d_multicast(u32 to, const TensorMap* map, int x, int y, int z, u32 barrier,
                                  u16 mask) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%2, %3, %4}], [%5], %6;" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier), "h"(mask)
      : "memory");
}
INLINE void load_box_4d(u32 to, const TensorMap* map, int x, int y, int z, int w, u32 barrier) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4, %5}], [%6];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(w), "r"(barrier)
      : "memory");
}
// To L2.
INLINE void prefetch_box_4d(const TensorMap* map, int x, int y, int z, int w) {
  asm volatile("cp.async.bulk.prefetch.tensor.4d.L2.global [%0, {%1, %2, %3, %4}];" ::"l"(map),
               "r"(x), "r"(y), "r"(z), "r"(w)
               : "memory");
}
INLINE void store_box_4d(const TensorMap* map, u32 from, int x, int y, int z, int w) {
  asm volatile(
      "cp.async.bulk.tensor.4d.global.shared::cta.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(
          map),
      "r"(from), "r"(x), "r"(y), "r"(z), "r"(w)
      : "memory");
}
INLINE void store_box(const TensorMap* map, u32 from, int x, int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map),
      "r"(from), "r"(x), "r"(y), "r"(z)
      : "memory");
}
INLINE void add_box(const TensorMap* map, u32 from, int x, int y, int z) {
  asm volatile(
      "cp.reduce.async.bulk.tensor.3d.global.shared::cta.add.bulk_group [%0, {%2, %3, %4}], "
      "[%1];" ::"l"(map),
      "r"(from), "r"(x), "r"(y), "r"(z)
      : "memory");
}
// A run of bytes, both sides aligned to 16.
INLINE void load_bytes(u32 to, const void* from, u32 bytes, u32 barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
      "[%3];" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}
INLINE void store_bytes(void* to, u32 from, u32 bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(from),
               "r"(bytes)
               : "memory");
}
INLINE void add_floats(float* to, u32 from, u32 bytes) {
  asm volatile(
      "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(to),
      "r"(from), "r"(bytes)
      : "memory");
}
INLINE void commit_stores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
// Until at most `left` groups still read shared memory.
template <int left>
INLINE void wait_stores_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(left) : "memory");
}
INLINE void wait_stores_done() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}
// Ordinary writes to shared memory, before the copy engine or the tensor cores read them.
INLINE void publish_to_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// ---- tensor cores
INLINE void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
INLINE void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int left>
INLINE void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
}
// Accumulators may not be read, moved or kept elsewhere before this point.
template <int n>
INLINE void settle(float (&values)[n]) {
#pragma unroll
  for (int i = 0; i < n; ++i) asm volatile("" : "+f"(values[i])::"memory");
}

// ---- small things
INLINE u32 pack_bf16(float low, float high) {
  u32 pair;
  asm("cvt.rn.bf16x2.f32 %0, %2, %1;" : "=r"(pair) : "f"(low), "f"(high));
  return pair;
}
INLINE float low_bf16(u32 pair) {
  return __uint_as_float(pair << 16);
}
INLINE float high_bf16(u32 pair) {
  return __uint_as_float(pair & 0xffff0000u);
}
// The same for either type of 16 bits.
template <bool f16>
INLINE u32 pack_halves(float low, float high) {
  if constexpr (!f16) return pack_bf16(low, high);
  u32 pair;
  asm("cvt.rn.f16x2.f32 %0, %2, %1;" : "=r"(pair) : "f"(low), "f"(high));
  return pair;
}
template <bool f16>
INLINE float low_half(u32 pair) {
  if constexpr (!f16) return low_bf16(pair);
  float x;
  asm("{\n.reg .b16 low, high;\nmov.b32 {low, high}, %1;\ncvt.f32.f16 %0, low;\n}"
      : "=f"(x)
      : "r"(pair));
  return x;
}
template <bool f16>
INLINE float high_half(u32 pair) {
  if constexpr (!f16) return high_bf16(pair);
  return low_half<true>(pair >> 16);
}
INLINE float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
INLINE float reciprocal_fast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// Four 8x8 blocks of 16-bit values from a warp's fragments to rows of 16 bytes; lane l gives the
// address of row l % 8 of block l / 8.
INLINE void store_blocks(u32 address, u32 b0, u32 b1, u32 b2, u32 b3) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
               "r"(b0), "r"(b1), "r"(b2), "r"(b3)
               : "memory");
}
INLINE void store_pair(u32 address, float x, float y) {
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(x), "f"(y) : "memory");
}
INLINE void store_four(u32 address, const float* x) {
  asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(address), "f"(x[0]), "f"(x[1]),
               "f"(x[2]), "f"(x[3])
               : "memory");
}
INLINE void load_four(u32 address, float* x) {
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(x[0]), "=f"(x[1]), "=f"(x[2]), "=f"(x[3])
               : "r"(address)
               : "memory");
}
INLINE void load_pair(u32 address, float& x, float& y) {
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(x), "=f"(y) : "r"(address) : "memory");
}
// Device memory that other multiprocessors write during this launch: past L1.
INLINE void load_four_global(const float* from, float* x) {
  asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(x[0]), "=f"(x[1]), "=f"(x[2]), "=f"(x[3])
               : "l"(from)
               : "memory");
}
INLINE void load_pair_global(const float* from, float& x, float& y) {
  asm volatile("ld.global.cg.v2.f32 {%0, %1}, [%2];" : "=f"(x), "=f"(y) : "l"(from) : "memory");
}
INLINE void load_columns(const float* from, float (&x)[4]) {
  load_four_global(from, x);
}
INLINE void load_columns(const float* from, float (&x)[2]) {
  load_pair_global(from, x[0], x[1]);
}
INLINE void store_int(u32 address, int x) {
  asm volatile("st.shared.s32 [%0], %1;" ::"r"(address), "r"(x) : "memory");
}
INLINE int load_int(u32 address) {
  int x;
  asm volatile("ld.shared.s32 %0, [%1];" : "=r"(x) : "r"(address) : "memory");
  return x;
}
INLINE void store_ints(u32 address, int x, int y, int z, int w) {
  asm volatile("st.shared.v4.s32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(x), "r"(y), "r"(z),
               "r"(w)
               : "memory");
}
INLINE void load_ints(u32 address, int& x, int& y, int& z, int& w) {
  asm volatile("ld.shared.v4.s32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x), "=r"(y), "=r"(z), "=r"(w)
               : "r"(address)
               : "memory");
}
INLINE int load_relaxed(const int* p) {
  int v;
  asm volatile("ld.relaxed.gpu.global.s32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
INLINE int load_acquire(const int* p) {
  int v;
  asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
INLINE void store_release(int* p, int v) {
  asm volatile("st.release.gpu.global.s32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}
INLINE void fence_async() {
  asm volatile("fence.proxy.async;" ::: "memory");
}
INLINE float sigmoid(float x) {
  return reciprocal_fast(1.0f + exp2_fast(-1.442695041f * x));
}
// Of x sigmoid(x), from both.
INLINE float silu_slope(float x, float sigmoid) {
  return sigmoid + x * sigmoid * (1 - sigmoid);
}
// 0.5 (1 + tanh(u)) = sigmoid(2 u), without the loss of digits at x < 0.
INLINE float gelu_tanh_gate(float x) {
  return sigmoid(1.5957691216f * (x + 0.044715f * x * x * x));
}
INLINE float gelu_tanh(float x) {
  return x * gelu_tanh_gate(x);
}
// Where x * x would overflow the gate is 0 or 1, and its slope 0.
INLINE float gelu_tanh_slope(float x) {
  const float gate = gelu_tanh_gate(x), square = fminf(x * x, 1e30f);
  return gate + 1.5957691216f * x * gate * (1 - gate) * (1 + 0.134145f * square);
}
