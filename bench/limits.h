// What the machine can do at most: multiply-adds on registers, bytes read from memory.
#pragma once
#include <chrono>
#include <cstdint>
#include <immintrin.h>

#include "weft/base/random.h"
#include "weft/device/device.h"
#include "weft/tensor/dtype.h"

namespace weft::bench {

// ---- multiply-adds on registers: twelve chains, or four sums of tiles

constexpr int64_t unit_rounds = 500'000;

#define WEFT_TWELVE(instruction, reg)                                                            \
  asm volatile("1:\n .irp n,0,1,2,3,4,5,6,7,8,9,10,11\n " instruction " %%" reg "12, %%" reg     \
               "12, %%" reg "\\n\n .endr\n dec %0\n jnz 1b"                                      \
               : "+r"(rounds)                                                                    \
               :                                                                                 \
               : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                 "xmm10", "xmm11", "xmm12", "cc")

// f32. Flops a round: 12 * 2 * lanes.
inline void fma_loop(Isa isa, int64_t rounds = unit_rounds) {
  if (isa == Isa::avx2)
    WEFT_TWELVE("vfmadd231ps", "ymm");
  else
    WEFT_TWELVE("vfmadd231ps", "zmm");
}
// bf16 by pairs. Flops a round: 12 * 4 * 16.
inline void pairs_loop(int64_t rounds = unit_rounds) {
  WEFT_TWELVE("vdpbf16ps", "zmm");
}
#undef WEFT_TWELVE

// bf16 on tiles of random numbers (zeros would run faster). Flops a round: 4 * 2 * 16 * 16 * 32.
inline void tiles_loop() {
  struct alignas(64) {
    uint8_t palette = 1, rest[15] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  alignas(64) uint16_t operand[512];
  const Philox random{7};
  for (int i = 0; i < 512; ++i) operand[i] = uint16_t(random(uint64_t(i))[0] & 0xbfff);
  asm volatile("ldtilecfg %0" : : "m"(config));
  asm volatile(
      "tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n"
      "tileloadd (%0,%1,1), %%tmm4\n tileloadd (%0,%1,1), %%tmm5\n"
      "tileloadd (%0,%1,1), %%tmm6\n tileloadd (%0,%1,1), %%tmm7"
      :
      : "r"(operand), "r"(int64_t{64})
      : "memory");
  for (int64_t i = 0; i < unit_rounds; ++i)
    asm volatile(
        "tdpbf16ps %tmm6, %tmm4, %tmm0\n tdpbf16ps %tmm7, %tmm4, %tmm1\n"
        "tdpbf16ps %tmm6, %tmm5, %tmm2\n tdpbf16ps %tmm7, %tmm5, %tmm3");
  asm volatile("tilerelease");
}

// The least seconds of five calls after one that is not counted.
template <class F>
double least_seconds(F&& call) {
  double least = 1e30;
  for (int i = 0; i < 6; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double> s = std::chrono::steady_clock::now() - begin;
    if (i > 0 && s.count() < least) least = s.count();
  }
  return least;
}

// Flops a second of all threads together, by the units that products of `dtype` run on.
inline double unit_rate(CpuStream& stream, DType dtype) {
  const Isa isa = stream.isa();
  const bool tiles = dtype == DType::bf16 && isa == Isa::amx;
  const bool pairs = dtype == DType::bf16 && isa == Isa::avx512_bf16;
  const double lanes = isa == Isa::avx2 ? 8 : 16;
  const double flops = tiles ? 4 * 2 * 16 * 16 * 32 : pairs ? 12 * 4 * lanes : 12 * 2 * lanes;
  const double s = least_seconds([&] {
    stream.pool().run([&](int) { tiles ? tiles_loop() : pairs ? pairs_loop() : fma_loop(isa); });
  });
  return flops * double(unit_rounds) * stream.threads() / s;
}
inline const char* unit_name(CpuStream& stream, DType dtype) {
  if (dtype != DType::bf16 || stream.isa() <= Isa::avx512) return "FMA";
  return stream.isa() == Isa::amx ? "AMX" : "vdpbf16ps";
}

// ---- plain reading

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
