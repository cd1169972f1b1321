// Softmax attention, forward, on Hopper GPUs: head sizes 64 and 128, bf16 or f16, causal or not,
// sliding windows, soft caps, grouped query heads, segments of any lengths in one call.
//
// Numbers. Keys are taken in blocks of 128 from the segment's first key on, ascending, and in
// chunks of AttentionSchedule::chunk that are computed apart and combined in ascending order; what
// a row gets depends on its own scores alone, so its bits are the same in any batch and at any
// number of queries a call.
//
// Pointers, but for the segments, are device pointers; addresses and strides are multiples of 16
// bytes. What cannot be done throws Error(user) before anything is launched. A captured graph keeps
// the segments of the call that was captured.
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
// Those of attention_modes().
std::vector<AttentionSchedule> shipped_attention_schedules();

}  // namespace weft::kernels::cuda
