// The eight AMX tiles as all products here use them: 0 to 3 hold sums of 16 x 16, of the upper 16
// rows first; 4 and 5 hold A, 16 rows of 32 k; 6 and 7 hold B, 16 pairs of k of 16 columns.
#pragma once
#include "weft/kernels/cpu/rows.h"

#if defined(__AMX_TILE__)
namespace weft::kernels::cpu::WEFT_ISA {

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// GCC 12's intrinsics do not tell the compiler what memory they read: stores must not move past
// this.
WEFT_INLINE inline void order_memory() {
  asm volatile("" : : : "memory");
}

// Until _tile_release(). Tiles of fewer rows of A and of the upper sums take less time.
inline void configure_tiles(int rows_of_a = 16) {
  TileConfig config;
  if (rows_of_a < 16) config.rows[0] = config.rows[1] = config.rows[4] = uint8_t(rows_of_a);
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
#endif
