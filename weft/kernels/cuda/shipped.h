// Every kernel that is compiled when Weft is built: one table of the schedules that ship.
#pragma once
#include <string>
#include <vector>

#include "weft/device/cuda/compiler.h"

namespace weft::kernels::cuda {

struct ShippedKernel {
  std::string name;  // what it does, in a few words; no two are equal
  weft::cuda::KernelSource source;
  int shared_bytes = 0;  // dynamic
};
std::vector<ShippedKernel> shipped_kernels();

// "name: registers, shared memory, spilled bytes", a line of the golden report.
std::string report_line(const ShippedKernel& kernel, const weft::cuda::KernelReport& report);

}  // namespace weft::kernels::cuda
