// Softmax attention, forward, on Hopper GPUs: head sizes 64 and 128, bf16, causal or full, grouped
// query heads.
//
// Numbers. Keys are taken in blocks of 128 from the segment's first key on, ascending, and in
// chunks of AttentionSchedule::chunk that are computed apart and combined in ascending order; what
// a row gets depends on its own scores alone, so its bits are the same in any batch and at any
// number of queries a call.
//
// Pointers, but for the segments, are device pointers. Segments are of equal lengths and lie one
// behind the other. Everything else (windows, other head sizes, queries before the first key)
// throws Error(user) before anything is launched.
#pragma once
#include "weft/device/cuda/cuda_device.h"
#include "weft/kernels/attention.h"
#include "weft/kernels/cuda/attention_tiles.h"

namespace weft::kernels::cuda {

AttentionSchedule attention_schedule(const AttentionShape& shape);

// Bytes of params.scratch on the device.
size_t attention_forward_scratch_bytes(const AttentionShape& shape, const CudaDevice& device);

void attention_forward(CudaStream& stream, const AttentionForward& params);
// With a schedule of the caller's.
void attention_forward(CudaStream& stream, const AttentionForward& params,
                       const AttentionSchedule& schedule);

weft::cuda::KernelSource attention_source(const AttentionSchedule& schedule);
// Every schedule that attention_schedule() can return.
std::vector<AttentionSchedule> shipped_attention_schedules();

}  // namespace weft::kernels::cuda
