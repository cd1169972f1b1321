// The texts of device code, embedded when Weft is built (cmake/weft.cmake).
#pragma once
#include <string>
#include <string_view>

#include "weft/device/cuda/compiler.h"

namespace weft::kernels::cuda {

struct KernelText {
  std::string_view path, text;  // path: from the repository's root
};

// The headers of this folder that a text includes, itself or through others.
void add_headers(weft::cuda::KernelSource& source, std::string_view text);
// Of weft/kernels/cuda/device/<name>.cu, whose kernel has that name, with its headers. What the
// launcher adds is still missing.
weft::cuda::KernelSource kernel_source(const std::string& name);

// One tensor-core instruction as a device function name(d, a, b, add): d = a b + (add ? d : 0) for
// 64 rows, n columns and 16 of the reduced dimension, out of shared memory; with a_in_registers,
// name(d, a0, a1, a2, a3, b, add). `turned` as in operand_descriptor.
struct TensorCoreProduct {
  std::string name;
  int n = 0;
  bool a_in_registers = false, a_turned = false, b_turned = false, f16 = false;
};
std::string product_text(const TensorCoreProduct& product);

}  // namespace weft::kernels::cuda
