// What every kernel of weft/kernels shares.
//
// A kernel is a params struct of plain pointers and sizes, and a function that takes a stream and
// the struct. It allocates nothing, throws nothing, and knows no Tensor. Files of one kernel share
// a base name:
//
//   weft/kernels/softmax.h             params structs with shapes and units, the declaration
//   weft/kernels/ref/softmax.cpp       the f64 oracle: plain loops, templated on the element type
//   where useful weft/kernels/cpu/softmax.cpp       the fast one, compiled once per instruction set
//   into a namespace of that name weft/kernels/softmax_test.cpp      fast against ref, over shapes,
//   dtypes, ISAs and thread counts weft/kernels/softmax_bench.cpp     rate, limit and peer
//
// Numbers: see the design page. In short: a result may depend on the reduced length and the
// weight's shape, never on how rows are batched, on threads or on the instruction set. Sums of a
// row of f32: 16 interleaved partials and one fixed tree (simd.h). Every thread runs with FTZ and
// DAZ (ThreadPool).
#pragma once
#include <cstdint>

#include "weft/device/device.h"
#include "weft/tensor/dtype.h"

// Declares a CPU kernel in its three builds and the choice among them; in the one for avx512_bf16
// products take AMX tiles where the level is amx:
//   WEFT_CPU_KERNEL(softmax_forward, SoftmaxForward)  ->
//   weft::kernels::cpu::softmax_forward(stream, params)
// Its definition in cpu/softmax.cpp: namespace weft::kernels::cpu::WEFT_ISA { void
// softmax_forward(...) {...} }
#define WEFT_CPU_KERNEL(name, Params)                         \
  namespace cpu {                                             \
  namespace avx2 {                                            \
  void name(CpuStream&, const Params&);                       \
  }                                                           \
  namespace avx512 {                                          \
  void name(CpuStream&, const Params&);                       \
  }                                                           \
  namespace avx512_bf16 {                                     \
  void name(CpuStream&, const Params&);                       \
  }                                                           \
  inline void name(CpuStream& stream, const Params& params) { \
    switch (stream.isa()) {                                   \
      case Isa::avx2:                                         \
        return avx2::name(stream, params);                    \
      case Isa::avx512:                                       \
        return avx512::name(stream, params);                  \
      case Isa::avx512_bf16:                                  \
      case Isa::amx:                                          \
        return avx512_bf16::name(stream, params);             \
    }                                                         \
  }                                                           \
  }
