// What several steps share: instructions that the library has no use for, tiles in shared memory,
// and the way from sums in registers to C.
#pragma once
#include "examples/hopper_gemm/step_tiles.h"
#include "sizes"
#include "weft/kernels/cuda/device/ptx.cuh"
#include "weft/kernels/cuda/layout.h"

using namespace ladder;
using namespace weft::kernels::cuda;

// ---- copies of 16 bytes that a thread starts and does not wait for
INLINE void copy_chunk(u32 to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
INLINE void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int left>
INLINE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}
// 64 numbers of each row, rows `stride` apart, by all threads of the block, to swizzled rows.
template <int rows, int threads>
INLINE void copy_tile(u32 to, const u16* from, int stride) {
#pragma unroll
  for (int i = 0; i < rows * 8 / threads; ++i) {
    const int row = (i * threads + threadIdx.x) / 8, chunk = threadIdx.x % 8;
    copy_chunk(to + swizzled_offset(row, chunk), from + row * stride + chunk * 8);
  }
}

// ---- tensor cores, one warp at a time
// Four 8 x 8 blocks; lane l gives the address of row l % 8 of block l / 8.
INLINE void load_blocks(u32 (&x)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(address)
               : "memory");
}
INLINE void load_blocks_turned(u32 (&x)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(address)
               : "memory");
}
// d [16][8] += a [16][16] b [16][8].
INLINE void mma(float* d, const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// A warp's sums, 16 rows from `row` and 2 * sums columns from `column`, to C: a thread holds pairs
// of rows lane / 4 and that plus 8.
template <int sums>
INLINE void write_rows(u16* c, const float (&d)[sums], int row, int column) {
  const int lane = threadIdx.x % 32;
  u16* to = c + (row + lane / 4) * n + column + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < sums / 4; ++i) {
    *(u32*)(to + 8 * i) = pack_bf16(d[4 * i], d[4 * i + 1]);
    *(u32*)(to + 8 * i + 8 * n) = pack_bf16(d[4 * i + 2], d[4 * i + 3]);
  }
}

// ---- a ring of stages in shared memory: rows of A [tile_m][64], of B [tile_n][64], and two
// barriers for each stage
template <Shape s>
struct Ring {
  u32 start;
  INLINE Ring() {
    extern __shared__ unsigned char shared[];
    start = (shared_address(shared) + 1023) & ~1023u;
  }
  INLINE u32 a(int stage) const { return start + stage * stage_bytes(s); }
  INLINE u32 b(int stage) const { return a(stage) + s.tile_m * row_bytes; }
  INLINE u32 full(int stage) const { return start + s.stages * stage_bytes(s) + 8 * stage; }
  INLINE u32 empty(int stage) const { return full(s.stages + stage); }
  INLINE void init_barriers(int empty_arrivals) const {
    for (int i = 0; i < s.stages; ++i)
      barrier_init(full(i), 1), barrier_init(empty(i), empty_arrivals);
    barrier_init_visible();
  }
};

// Starts copying the stage of this step. Behind the last step an empty group of copies, so that
// groups count steps. a, b: the block's first rows.
template <Shape s>
INLINE void copy_stage(const Ring<s>& ring, const u16* a, const u16* b, int step) {
  const int stage = step % s.stages, k = step * reduced_per_stage;
  if (k < n) {
    copy_tile<s.tile_m, s.threads>(ring.a(stage), a + k, n);
    copy_tile<s.tile_n, s.threads>(ring.b(stage), b + k, n);
  }
  commit_copies();
}
