// What the machine can do at most: multiply-adds on registers, bytes read from memory.
#pragma once
#include <cstdint>
#include <immintrin.h>

#include "weft/device/device.h"
#include "weft/tensor/dtype.h"

namespace weft::bench {

// ---- multiply-adds on registers, 12 chains
// -------------------------------------------------------

constexpr int64_t fma_rounds = 2'000'000;

#define WEFT_TWELVE_FMAS(reg)                                                                    \
  asm volatile("1:\n vfmadd231ps %%" reg "12, %%" reg "12, %%" reg "0\n vfmadd231ps %%" reg      \
               "12, %%" reg "12, %%" reg "1\n vfmadd231ps %%" reg "12, %%" reg "12, %%" reg      \
               "2\n vfmadd231ps %%" reg "12, %%" reg "12, %%" reg "3\n vfmadd231ps %%" reg       \
               "12, %%" reg "12, %%" reg "4\n vfmadd231ps %%" reg "12, %%" reg "12, %%" reg      \
               "5\n vfmadd231ps %%" reg "12, %%" reg "12, %%" reg "6\n vfmadd231ps %%" reg       \
               "12, %%" reg "12, %%" reg "7\n vfmadd231ps %%" reg "12, %%" reg "12, %%" reg      \
               "8\n vfmadd231ps %%" reg "12, %%" reg "12, %%" reg "9\n vfmadd231ps %%" reg       \
               "12, %%" reg "12, %%" reg "10\n vfmadd231ps %%" reg "12, %%" reg "12, %%" reg     \
               "11\n dec %0\n jnz 1b"                                                            \
               : "+r"(rounds)                                                                    \
               :                                                                                 \
               : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                 "xmm10", "xmm11", "xmm12", "cc")

inline void fma_loop(Isa isa) {
  int64_t rounds = fma_rounds;
  if (isa == Isa::avx2)
    WEFT_TWELVE_FMAS("ymm");
  else
    WEFT_TWELVE_FMAS("zmm");
}
#undef WEFT_TWELVE_FMAS
inline double fma_loop_flops(Isa isa) {
  return double(fma_rounds) * 12 * 2 * (isa == Isa::avx2 ? 8 : 16);
}

// ---- AMX: four products on eight tiles of random numbers
// -----------------------------------------

constexpr int64_t tile_rounds = 500'000;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t column_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

[[gnu::target("amx-tile,amx-bf16")]] inline void tile_loop(const bf16* values) {
  TileConfig config;
  asm volatile("ldtilecfg %0" : : "m"(config));
  const int64_t stride = 64;
  asm volatile(
      "tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n"
      "tileloadd (%0,%1,1), %%tmm4\n tileloadd (%0,%1,1), %%tmm5\n"
      "tileloadd 1024(%0,%1,1), %%tmm6\n tileloadd 1024(%0,%1,1), %%tmm7\n"
      :
      : "r"(values), "r"(stride)
      : "memory");
  for (int64_t i = 0; i < tile_rounds; ++i)
    asm volatile(
        "tdpbf16ps %tmm6, %tmm4, %tmm0\n tdpbf16ps %tmm7, %tmm4, %tmm1\n"
        "tdpbf16ps %tmm6, %tmm5, %tmm2\n tdpbf16ps %tmm7, %tmm5, %tmm3");
  asm volatile("tilerelease");
}
constexpr double tile_loop_flops = double(tile_rounds) * 4 * 2 * 16 * 16 * 32;

// ---- plain reading
// -------------------------------------------------------------------------------

// Reads all bytes (a multiple of 256); `ahead` bytes of prefetch, or none with 0.
inline void read_all(const std::byte* p, int64_t bytes, int64_t ahead) {
  __m256i sum[8] = {};
  for (int64_t i = 0; i < bytes; i += 256) {
    if (ahead)
      for (int j = 0; j < 256; j += 64)
        _mm_prefetch(reinterpret_cast<const char*>(p + i + ahead + j), _MM_HINT_T0);
    for (int j = 0; j < 8; ++j)
      sum[j] = _mm256_xor_si256(
          sum[j], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + i + j * 32)));
  }
  for (int j = 1; j < 8; ++j) sum[0] = _mm256_xor_si256(sum[0], sum[j]);
  asm volatile("" : : "x"(sum[0]));
}
constexpr int64_t read_ahead[] = {0, 2048, 4096};  // the three plain readers

}  // namespace weft::bench
