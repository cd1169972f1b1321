// What a GPU really does, measured in a second: for `weft info --devices`.
#pragma once
#include "weft/device/cuda/cuda_device.h"

namespace weft::kernels::cuda {

struct DeviceRates {
  double copy_bytes;    // a second, read plus written, in device memory
  double matmul_flops;  // a second, bf16 8192 x 8192 x 8192 on random data; 0: no kernel for it
};
DeviceRates measure_rates(CudaDevice& device);

}  // namespace weft::kernels::cuda
