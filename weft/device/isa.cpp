#include "weft/device/isa.h"

#include <cpuid.h>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

#include "weft/base/error.h"

namespace weft {
namespace {

struct Cpuid {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  Cpuid(uint32_t leaf, uint32_t sub) { __get_cpuid_count(leaf, sub, &a, &b, &c, &d); }
};

bool has_avx512_bf16() {
  return Cpuid(7, 1).a >> 5 & 1;
}

bool has_amx() {
  const Cpuid leaf7(7, 0);
  const bool tile = leaf7.d >> 24 & 1, bf16_tiles = leaf7.d >> 22 & 1;
  if (!tile || !bf16_tiles) return false;
  constexpr long arch_req_xcomp_perm = 0x1023, xfeature_xtiledata = 18;
  return syscall(SYS_arch_prctl, arch_req_xcomp_perm, xfeature_xtiledata) == 0;
}

Isa detect() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    throw_error(ErrorKind::resource,
                "this processor has no AVX2 and FMA (x86-64-v3), which Weft needs");
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!v4) return Isa::avx2;
  if (!has_avx512_bf16()) return Isa::avx512;
  if (has_amx()) return Isa::amx;
  // Intel's vdpbf16ps takes four times as long as an FMA and saves one of two; AMD's as long.
  return __builtin_cpu_is("intel") ? Isa::avx512 : Isa::avx512_bf16;
}

}  // namespace

std::string_view isa_name(Isa isa) {
  constexpr std::string_view names[] = {"avx2", "avx512", "avx512_bf16", "amx"};
  return names[int(isa)];
}

Isa best_isa() {
  static const Isa isa = detect();
  return isa;
}

Isa selected_isa() {
  const char* wanted = std::getenv("WEFT_ISA");
  if (!wanted || !*wanted) return best_isa();
  for (const Isa isa : all_isas) {
    if (isa_name(isa) != wanted) continue;
    if (isa > best_isa())
      user_error(
          "WEFT_ISA={} asks for instructions this machine does not have; the best here is {}",
          wanted, isa_name(best_isa()));
    return isa;
  }
  user_error("WEFT_ISA={} is not an instruction set; choose avx2, avx512, avx512_bf16 or amx", wanted);
}

}  // namespace weft
