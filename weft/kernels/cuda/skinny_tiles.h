// The schedule of a matrix product with few rows on Hopper. Compiled for the host and by NVRTC.
#pragma once
#include "weft/kernels/cuda/matmul_tiles.h"

namespace weft::kernels::cuda {

// C[m][n] = sum over k of A[m][k] W[n][k], m at most 64. A plain record; the kernel is compiled
// once for each.
struct SkinnySchedule {
  int rows = 64;    // of W, for one CTA: a multiple of 8
  int a_rows = 16;  // 8 to 64: m, rounded up
  int boxes = 1;    // of 64 of k in a stage
  int stages = 10;  // of the ring in shared memory
  bool f16 = false;
  MatmulEpilogue epilogue;
  bool operator==(const SkinnySchedule&) const = default;
};

// Columns of C for the sums of a CTA.
constexpr int result_columns(const SkinnySchedule& s) {
  return s.epilogue.swiglu ? s.rows / 2 : s.rows;
}
// Where results go and what is read beside the sums; rows a stride of elements apart.
struct SkinnyResults {
  unsigned short *c, *slope;
  const unsigned short* residual;
  long long c_row_stride, slope_row_stride, residual_row_stride;
};

constexpr int skinny_threads = 128 + 32;  // one warpgroup multiplies, one warp feeds it
constexpr int skinny_stage_bytes(const SkinnySchedule& s) {
  return s.boxes * (s.rows + s.a_rows) * 128;
}
// Ring, two barriers a stage, and room to align the start to 1024 bytes.
constexpr int shared_bytes(const SkinnySchedule& s) {
  return 1024 + s.stages * (skinny_stage_bytes(s) + 16);
}

// As many as a multiprocessor has memory for.
constexpr int skinny_stages(const SkinnySchedule& s) {
  return (227 * 1024 - 1024) / (skinny_stage_bytes(s) + 16);
}

}  // namespace weft::kernels::cuda
