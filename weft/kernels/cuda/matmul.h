// The matrix product on Hopper GPUs (compute capability 9.0): bf16 or f16 operands, f32 sums on
// the tensor cores. Operands may lie either way round, which covers what training needs: forward (x
// times the weight turned), input gradient, and weight gradient added into f32.
//
// Numbers. One ascending chain over k in instructions of 16: an element's bits depend on its row,
// its column and k alone. Into f32 a long k is cut into slabs where that fills an H200; they are
// added in ascending order. Their number (matmul_slabs) depends on m, n and k alone, never on the
// device, the batch or the schedule.
//
// Rows of C and of slope are written in granules of 16 bytes: up to 7 elements behind the
// last of a row are overwritten (the copy engine's doing).
//
// Pointers are device pointers. What the hardware or this kernel cannot take throws Error(user)
// before anything is launched: other types than bf16 and f16 (results also f32), packed operands,
// an epilogue after a sum that is added to C, an address or a row that is no multiple of 16 bytes;
// of SwiGLU halves of rows that are none, batches and residuals.
#pragma once
#include "weft/device/cuda/cuda_device.h"
#include "weft/kernels/cuda/matmul_tiles.h"
#include "weft/kernels/cuda/skinny_tiles.h"
#include "weft/kernels/matmul.h"

namespace weft::kernels::cuda {

// An estimate, by which schedules are ranked: what ends last of the tensor cores, what flows into a
// multiprocessor, L2 and memory, in rounds of tiles.
double matmul_seconds(const Matmul& params, const MatmulSchedule& schedule, int multiprocessors);
// The schedule whose estimate is least, of the few that are worth it.
MatmulSchedule matmul_schedule(const Matmul& params, int multiprocessors);
// All that there are, the least estimate first: for who measures them.
std::vector<MatmulSchedule> matmul_candidates(const Matmul& params, int multiprocessors);
int matmul_slabs(const Matmul& params);

// Bytes of params.scratch on the device; 0 for most.
size_t matmul_scratch_bytes(const Matmul& params, const MatmulSchedule& schedule);

// Few rows go through skinny_matmul.
void matmul(CudaStream& stream, const Matmul& params);
// With a schedule of the caller's; its orders and output must be those of params.
void matmul(CudaStream& stream, const Matmul& params, const MatmulSchedule& schedule);

// At most 64 rows of one matrix, k contiguous in A and B, results in their type, at the speed of
// reading B: the same bits.
bool is_skinny(const Matmul& params);
SkinnySchedule skinny_schedule(const Matmul& params);
// constant_weights: no work still running on the stream writes B. It is then read ahead, while the
// kernel before ends.
void skinny_matmul(CudaStream& stream, const Matmul& params, bool constant_weights = false);
void skinny_matmul(CudaStream& stream, const Matmul& params, const SkinnySchedule& schedule,
                   bool constant_weights);
weft::cuda::KernelSource skinny_source(const SkinnySchedule& schedule);
std::vector<SkinnySchedule> shipped_skinny_schedules();

// What is compiled for a schedule; for tests and the cache.
weft::cuda::KernelSource matmul_source(const MatmulSchedule& schedule);
// What is compiled when Weft is built: the most used; others are compiled when first used.
std::vector<MatmulSchedule> shipped_matmul_schedules();

}  // namespace weft::kernels::cuda
