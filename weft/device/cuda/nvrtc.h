// NVRTC's entry points, as used by compiler.cpp; found at run time.
#pragma once
#include <cstddef>

namespace weft::cuda {

// X(member, symbol, result, parameters); programs are opaque pointers.
#define WEFT_NVRTC(X)                                                                \
  X(version, nvrtcVersion, int, (int*, int*))                                        \
  X(error_text, nvrtcGetErrorString, const char*, (int))                             \
  X(create, nvrtcCreateProgram, int,                                                 \
    (void**, const char*, const char*, int, const char* const*, const char* const*)) \
  X(destroy, nvrtcDestroyProgram, int, (void**))                                     \
  X(compile, nvrtcCompileProgram, int, (void*, int, const char* const*))             \
  X(log_size, nvrtcGetProgramLogSize, int, (void*, size_t*))                         \
  X(log, nvrtcGetProgramLog, int, (void*, char*))                                    \
  X(cubin_size, nvrtcGetCUBINSize, int, (void*, size_t*))                            \
  X(cubin, nvrtcGetCUBIN, int, (void*, char*))

struct Nvrtc {
#define WEFT_NVRTC_MEMBER(member, symbol, result, parameters) result(*member) parameters = nullptr;
  WEFT_NVRTC(WEFT_NVRTC_MEMBER)
#undef WEFT_NVRTC_MEMBER
};

}  // namespace weft::cuda
