// AMX tiles for machines without them: the tests of the level `amx` then run wherever there is
// AVX512-BF16. A tile instruction traps; the handler reads it, does to tiles of this thread's own
// what Intel's manual (volume 2, instructions TDPBF16PS and the like; rounding to nearest,
// denormals as zero) says, and steps over it. About a microsecond each, and each byte that an
// instruction touches is seen by AddressSanitizer.
#pragma once
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <immintrin.h>
#include <ucontext.h>
#include <unistd.h>

#include "weft/device/isa.h"

namespace weft::testing {

// The state that LDTILECFG sets: rows, and bytes a row, of eight tiles.
struct Tiles {
  uint8_t config[64] = {};
  alignas(64) uint8_t data[8][16][64] = {};

  int rows(int tile) const { return config[48 + tile]; }
  int row_bytes(int tile) const { return config[16 + 2 * tile] | config[17 + 2 * tile] << 8; }
};

// An instruction of AMX: VEX of three bytes, opcode, ModRM, and what they say of an address.
struct TileInstruction {
  int prefix;  // 0: none, 1: 66, 2: F3, 3: F2
  int opcode, reg, rm, vvvv;
  bool of_registers;
  uint8_t* address;
  int64_t stride;
  const uint8_t* next;

  // Whether there is one at `at`.
  bool read(const uint8_t* at, const greg_t* general) {
    if (at[0] != 0xc4 || (at[1] & 0x1f) != 2) return false;
    const int extend_base = ~at[1] >> 5 & 1, extend_index = ~at[1] >> 6 & 1;
    prefix = at[2] & 3, vvvv = ~at[2] >> 3 & 15;
    opcode = at[3];
    const int mode = at[4] >> 6;
    reg = at[4] >> 3 & 7, rm = at[4] & 7;
    at += 5;
    of_registers = mode == 3;
    stride = 0;
    if (!of_registers) {
      int base = rm;
      if (rm == 4) {
        const int index = (at[0] >> 3 & 7) | extend_index << 3;
        if (index != 4) stride = value(general, index) << (at[0] >> 6);
        base = *at++ & 7;
      }
      const bool no_base = mode == 0 && base == 5, near = mode == 1;
      int64_t displacement = 0;
      if (near) {
        displacement = int8_t(*at++);
      } else if (mode == 2 || no_base) {
        int32_t far;
        std::memcpy(&far, at, 4);
        displacement = far, at += 4;
      }
      // Without a base: from the next instruction on, or, with a SIB byte, from nothing.
      const int64_t from = !no_base  ? value(general, base | extend_base << 3)
                           : rm == 5 ? reinterpret_cast<int64_t>(at)
                                     : 0;
      address = reinterpret_cast<uint8_t*>(from + displacement);
    }
    next = at;
    return opcode == 0x49 || opcode == 0x4b || (opcode == 0x5c && prefix == 2 && of_registers);
  }

 private:
  static int64_t value(const greg_t* general, int number) {
    constexpr int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                             REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                             REG_R12, REG_R13, REG_R14, REG_R15};
    return general[order[number]];
  }
};

// sums += a b: of each row an even and an odd chain of FMAs from zero, added, then added to the
// sum.
[[gnu::target("avx512f")]] inline void multiply_tiles(Tiles& t, int sums, int a, int b) {
  const __m512i upper = _mm512_set1_epi32(int(0xffff0000));
  const __mmask16 columns = __mmask16((1u << t.row_bytes(sums) / 4) - 1);
  for (int m = 0; m < t.rows(sums); ++m) {
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    for (int k = 0; k < t.row_bytes(a); k += 4) {
      uint32_t two;
      std::memcpy(&two, &t.data[a][m][k], 4);
      const __m512i x = _mm512_set1_epi32(int(two)), w = _mm512_load_si512(t.data[b][k / 4]);
      even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                             _mm512_castsi512_ps(_mm512_slli_epi32(w, 16)), even);
      odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, upper)),
                            _mm512_castsi512_ps(_mm512_and_si512(w, upper)), odd);
    }
    float* row = reinterpret_cast<float*>(t.data[sums][m]);
    _mm512_store_ps(row,
                    _mm512_maskz_add_ps(columns, _mm512_load_ps(row), _mm512_add_ps(even, odd)));
  }
}

inline void run_tile_instruction(Tiles& t, const TileInstruction& x) {
  if (x.opcode == 0x5c) return multiply_tiles(t, x.reg, x.rm, x.vvvv);
  if (x.opcode == 0x49 && x.of_registers && x.prefix == 3)  // TILEZERO
    return void(std::memset(t.data[x.reg], 0, sizeof t.data[x.reg]));
  if (x.opcode == 0x49 && x.of_registers) return void(t = {});  // TILERELEASE
  if (x.opcode == 0x49 && x.prefix == 0) {                      // LDTILECFG
    t = {};
    return void(std::memcpy(t.config, x.address, 64));
  }
  if (x.opcode == 0x49) return void(std::memcpy(x.address, t.config, 64));  // STTILECFG
  const size_t bytes = size_t(t.row_bytes(x.reg));
  if (x.prefix != 2) std::memset(t.data[x.reg], 0, sizeof t.data[x.reg]);
  for (int r = 0; r < t.rows(x.reg); ++r) {
    uint8_t* row = x.address + r * x.stride;
    x.prefix == 2 ? std::memcpy(row, t.data[x.reg][r], bytes)   // TILESTORED
                  : std::memcpy(t.data[x.reg][r], row, bytes);  // TILELOADD, TILELOADDT1
  }
}

inline void on_illegal_instruction(int, siginfo_t*, void* context) {
  static thread_local Tiles tiles;
  greg_t* general = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  TileInstruction x;
  if (!x.read(reinterpret_cast<const uint8_t*>(general[REG_RIP]), general)) {
    constexpr char text[] = "an instruction that this machine does not have, and not of AMX\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) > 0) _exit(1);
    _exit(1);
  }
  _mm_setcsr(0x9fc0);  // until the handler returns; rounding to nearest, denormals are zero
  run_tile_instruction(tiles, x);
  general[REG_RIP] = reinterpret_cast<greg_t>(x.next);
}

// Whether a test can use this level: the machine's own, or `amx` as above.
inline bool runs_here(Isa isa) {
  if (isa <= best_isa()) return true;
  static const bool emulated = [] {
    if (!__builtin_cpu_supports("avx512bf16")) return false;
    struct sigaction action = {};
    action.sa_sigaction = on_illegal_instruction;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (sigaction(SIGILL, &action, nullptr) != 0) return false;
    std::fputs("AMX is emulated: this machine has none\n", stderr);
    return true;
  }();
  return isa == Isa::amx && emulated;
}

}  // namespace weft::testing
