// The texts of device code, embedded when Weft is built (cmake/weft.cmake).
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::kernels::cuda {

struct KernelText {
  std::string_view path, text;  // path: from the repository's root
};

// By the path from the repository's root, "weft/kernels/cuda/device/matmul.cu".
std::string kernel_text(std::string_view path);
// All that kernels may include, as the compiler takes them.
std::vector<std::pair<std::string, std::string>> kernel_headers();

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
