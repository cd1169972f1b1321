// Instruction sets the x86 kernels are built for, and the choice among them.
#pragma once
#include <string_view>

namespace weft {

// Ordered: each includes the ones before. avx2 = x86-64-v3 (AVX2, FMA, F16C); avx512 = x86-64-v4
// (F, BW, DQ, VL); avx512_bf16 = avx512 with AVX512-BF16; amx = that with AMX-TILE and AMX-BF16.
// All give the same bits; they differ in speed.
enum class Isa { avx2, avx512, avx512_bf16, amx };
constexpr Isa all_isas[] = {Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx};

std::string_view isa_name(Isa isa);

// The best the processor and the kernel allow. Asks Linux for permission to use AMX tiles; threads
// that exist before the first call do not get it, so the CPU device calls this before it starts its
// pool.
Isa best_isa();

// best_isa(), or the lower one that WEFT_ISA names. Throws Error(user) when the machine cannot run
// that one.
Isa selected_isa();

}  // namespace weft
