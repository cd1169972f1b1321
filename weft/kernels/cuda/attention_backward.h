// Gradients of softmax attention on Hopper GPUs, deterministic, for all that attention_forward
// takes (attention.h).
//
// Numbers. Keys are taken in tiles of 128 and queries in blocks of 64, both from the segment's
// first on. The gradients of keys and values are one ascending chain over the queries, query heads
// of a group in ascending order; those of queries are sums over tiles of keys in f32, the last
// first. So bits depend on the segment alone, never on timing or on the batch.
//
// Pointers, but for the segments, are device pointers. o, its gradient and dq are addressed in
// multiples of 8 elements (16 bytes).
#pragma once
#include "weft/kernels/cuda/attention.h"
#include "weft/kernels/cuda/attention_backward_tiles.h"

namespace weft::kernels::cuda {

BackwardSchedule backward_schedule(const AttentionShape& shape);

// Bytes of params.scratch on the device.
size_t attention_backward_scratch_bytes(const AttentionShape& shape);

void attention_backward(CudaStream& stream, const AttentionBackward& params);

weft::cuda::KernelSource attention_backward_source(const BackwardSchedule& schedule);
weft::cuda::KernelSource attention_row_terms_source(const BackwardSchedule& schedule);
// Every schedule that backward_schedule() can return.
std::vector<BackwardSchedule> shipped_backward_schedules();

}  // namespace weft::kernels::cuda
