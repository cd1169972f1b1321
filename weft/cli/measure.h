// Timing for the commands that report rates.
#pragma once
#include <functional>
#include <vector>

#include "weft/graph/tensor.h"

namespace weft::cli {

double seconds_of(const std::function<void()>& work);
double median(std::vector<double> values);  // not empty
// The median of `runs` timed calls after one that is not.
double median_seconds(int64_t runs, const std::function<void()>& work);

// Standard normal values, computed.
Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed);

// Floating-point operations a second of a product of 1024 x 1024 x 1024 on the default device,
// weights not packed before: what MFU and HFU are held against.
double measured_matmul_rate(DType dtype);

// Reads memory far larger than any cache, with all threads of the default device together: the
// limit of decoding.
class MemoryReader {
 public:
  MemoryReader();
  double rate();  // bytes a second of one pass

 private:
  Array memory_;
};

}  // namespace weft::cli
