// The CUDA driver's entry points, found at run time: the same binary runs where there is no driver,
// and is built where there is no toolkit. Declared here rather than taken from <cuda.h>; names,
// types and numbers are those of the driver API's stable ABI (CUDA 12 and later).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "weft/base/error.h"

namespace weft::cuda {

using Status = int;                // CUresult; 0 is success
using DeviceAddress = uint64_t;    // CUdeviceptr
using Handle = struct Opaque_*;    // a context, module, function, stream, event or graph
constexpr Status not_ready = 600;  // CUDA_ERROR_NOT_READY

enum DeviceAttribute : int {
  multiprocessors = 16,
  l2_bytes = 38,
  capability_major = 75,
  capability_minor = 76,
  block_shared_bytes = 97,  // at most, opted into
};
enum FunctionAttribute : int { dynamic_shared = 8 };  // bytes a block, opted into

// A tensor map: how the copy engine cuts a matrix into boxes. Passed to kernels by value.
struct alignas(64) TensorMap {
  uint64_t opaque[16];
};

// CUlaunchAttribute and CUlaunchConfig.
struct LaunchAttribute {
  int which;
  char padding[4];
  union {
    int flag;
    char bytes[64];
  } value;
};
constexpr int overlapping_launch = 6;  // CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
struct LaunchConfig {
  unsigned blocks_x, blocks_y, blocks_z, threads_x, threads_y, threads_z, shared_bytes;
  Handle stream;
  LaunchAttribute* attributes;
  unsigned attribute_count;
};

// X(member, symbol, parameters)
#define WEFT_CUDA_DRIVER(X)                                                                \
  X(init, cuInit, (unsigned))                                                              \
  X(error_name, cuGetErrorName, (Status, const char**))                                    \
  X(error_text, cuGetErrorString, (Status, const char**))                                  \
  X(device_count, cuDeviceGetCount, (int*))                                                \
  X(device_name, cuDeviceGetName, (char*, int, int))                                       \
  X(device_memory, cuDeviceTotalMem_v2, (size_t*, int))                                    \
  X(device_attribute, cuDeviceGetAttribute, (int*, DeviceAttribute, int))                  \
  X(retain_context, cuDevicePrimaryCtxRetain, (Handle*, int))                              \
  X(release_context, cuDevicePrimaryCtxRelease_v2, (int))                                  \
  X(set_context, cuCtxSetCurrent, (Handle))                                                \
  X(pointer_attribute, cuPointerGetAttribute, (void*, int, DeviceAddress))                 \
  X(allocate, cuMemAlloc_v2, (DeviceAddress*, size_t))                                     \
  X(free, cuMemFree_v2, (DeviceAddress))                                                   \
  X(copy_to_device, cuMemcpyHtoDAsync_v2, (DeviceAddress, const void*, size_t, Handle))    \
  X(copy_to_host, cuMemcpyDtoHAsync_v2, (void*, DeviceAddress, size_t, Handle))            \
  X(copy_on_device, cuMemcpyDtoDAsync_v2, (DeviceAddress, DeviceAddress, size_t, Handle))  \
  X(fill_bytes, cuMemsetD8Async, (DeviceAddress, unsigned char, size_t, Handle))           \
  X(stream_create, cuStreamCreate, (Handle*, unsigned))                                    \
  X(stream_destroy, cuStreamDestroy_v2, (Handle))                                          \
  X(stream_query, cuStreamQuery, (Handle))                                                 \
  X(begin_capture, cuStreamBeginCapture_v2, (Handle, int))                                 \
  X(end_capture, cuStreamEndCapture, (Handle, Handle*))                                    \
  X(graph_instantiate, cuGraphInstantiateWithFlags, (Handle*, Handle, unsigned long long)) \
  X(graph_launch, cuGraphLaunch, (Handle, Handle))                                         \
  X(graph_destroy, cuGraphDestroy, (Handle))                                               \
  X(executable_destroy, cuGraphExecDestroy, (Handle))                                      \
  X(event_create, cuEventCreate, (Handle*, unsigned))                                      \
  X(event_destroy, cuEventDestroy_v2, (Handle))                                            \
  X(event_record, cuEventRecord, (Handle, Handle))                                         \
  X(event_synchronize, cuEventSynchronize, (Handle))                                       \
  X(event_elapsed, cuEventElapsedTime, (float*, Handle, Handle))                           \
  X(module_load, cuModuleLoadData, (Handle*, const void*))                                 \
  X(module_unload, cuModuleUnload, (Handle))                                               \
  X(module_function, cuModuleGetFunction, (Handle*, Handle, const char*))                  \
  X(set_function_attribute, cuFuncSetAttribute, (Handle, FunctionAttribute, int))          \
  X(launch, cuLaunchKernelEx, (const LaunchConfig*, Handle, void**, void**))               \
  X(encode_tiled, cuTensorMapEncodeTiled,                                                  \
    (TensorMap*, int, uint32_t, void*, const uint64_t*, const uint64_t*, const uint32_t*,  \
     const uint32_t*, int, int, int, int))

struct Driver {
#define WEFT_CUDA_MEMBER(member, symbol, parameters) Status(*member) parameters = nullptr;
  WEFT_CUDA_DRIVER(WEFT_CUDA_MEMBER)
#undef WEFT_CUDA_MEMBER
};

// The initialised driver, or null and the reason in a few words ("no driver: libcuda.so.1 not
// found"). Looked for once.
const Driver* find_driver(std::string* why_not = nullptr);
// The same; throws Error(resource) with the reason.
const Driver& driver();

[[noreturn]] void call_failed(Status status, std::string_view call, const std::string& context);

// Throws Error(resource) naming the call, what it was for, and the driver's own words.
inline void check(Status status, std::string_view call, const std::string& context = {}) {
  if (status != 0) [[unlikely]]
    call_failed(status, call, context);
}

}  // namespace weft::cuda
