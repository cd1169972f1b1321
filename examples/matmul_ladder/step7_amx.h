// Tiles: registers of 16 rows of 64 bytes. One tdpbf16ps multiplies [16, 32] by [32, 16] and adds
// to 256 sums. Four tiles of sums, two of A and two of B: each load serves two products.
#pragma once
#include "examples/matmul_ladder/step6_bf16.h"

namespace ladder {

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// C [32, 32] at row i, column j.
inline void block_of_tiles(const Product& p, const bf16* panel, int i, int j) {
  const int64_t a_stride = n * 2, b_stride = 128, c_stride = n * 4;  // bytes
  asm volatile("tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3" ::
                   : "memory");
  for (int k = 0; k < n; k += 32) {
    const bf16 *a = p.a16 + i * n + k, *b = panel + k * 32;
    asm volatile(
        "tileloadd (%0,%1,1), %%tmm4\n tileloadd (%2,%3,1), %%tmm6\n"
        "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n tileloadd 64(%2,%3,1), %%tmm7\n"
        "tdpbf16ps %%tmm7, %%tmm4, %%tmm1\n tileloadd (%4,%1,1), %%tmm5\n"
        "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n tdpbf16ps %%tmm7, %%tmm5, %%tmm3"
        :
        : "r"(a), "r"(a_stride), "r"(b), "r"(b_stride), "r"(a + 16 * n)
        : "memory");
  }
  float *upper = p.c + i * n + j, *lower = upper + 16 * n;
  asm volatile(
      "tilestored %%tmm0, (%0,%2,1)\n tilestored %%tmm1, 64(%0,%2,1)\n"
      "tilestored %%tmm2, (%1,%2,1)\n tilestored %%tmm3, 64(%1,%2,1)"
      :
      : "r"(upper), "r"(lower), "r"(c_stride)
      : "memory");
}

inline void tiles(const Product& p) {
  const TileConfig config;
  asm volatile("ldtilecfg %0" : : "m"(config));
  bf16* panel = copy_of_b<bf16>();
  for (int j = 0; j < n; j += 32) {
    pack_pairs(p, j, panel);
    for (int i = 0; i < n; i += 32) block_of_tiles(p, panel, i, j);
  }
  asm volatile("tilerelease");
}

}  // namespace ladder
