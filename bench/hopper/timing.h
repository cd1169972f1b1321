// Device time of what is enqueued on a stream.
#pragma once
#include <algorithm>
#include <vector>

#include "weft/device/cuda/cuda_device.h"

namespace weft::bench {

template <class F>
double milliseconds(CudaStream& stream, F&& work) {
  CudaEvent begin, end;
  begin.record(stream);
  work();
  end.record(stream);
  stream.synchronize();
  return end.milliseconds_since(begin);
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

}  // namespace weft::bench
