// Timing for the commands that report rates.
#pragma once
#include <functional>

#include "weft/graph/tensor.h"

namespace weft::cli {

// The median of `runs` timed calls after one that is not.
double median_seconds(int64_t runs, const std::function<void()>& work);

// Standard normal values, computed.
Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed);

// Floating-point operations a second of a product of 1024 x 1024 x 1024 on the default device,
// weights not packed before: what MFU and HFU are held against.
double measured_matmul_rate(DType dtype);

// Bytes a second that all threads of the default device together read, of memory far larger than
// any cache: the limit of decoding.
double measured_read_rate();

}  // namespace weft::cli
