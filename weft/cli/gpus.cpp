#include "weft/cli/gpus.h"

#include <cmath>

#include "weft/kernels/cuda/rates.h"

namespace weft::cli {

Json describe_gpus() {
  std::string why;
  if (!cuda::find_driver(&why)) return why;
  Json gpus = Json::array();
  for (int i = 0; i < CudaDevice::count(); ++i) {
    CudaDevice gpu(i);
    Json json{{"device", gpu.description()}};
    std::string compiler;
    if (cuda::compiler_found(&compiler)) {
      const kernels::cuda::DeviceRates rates = kernels::cuda::measure_rates(gpu);
      json["copy_tb_per_s"] = std::round(rates.copy_bytes / 1e10) / 100;
      json["matmul_bf16_tflop_per_s"] = std::round(rates.matmul_flops / 1e12);
    }
    json["compiler"] = compiler;
    gpus.push_back(json);
  }
  return gpus;
}

}  // namespace weft::cli
