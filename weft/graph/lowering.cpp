#include "weft/graph/lowering.h"

#include <algorithm>
#include <unordered_map>

namespace weft {
namespace {

// Every kernel there is, one family after another.
const std::unordered_map<const Op*, KernelRows>& kernel_table() {
  static const auto table = [] {
    std::unordered_map<const Op*, KernelRows> t;
    for (const auto& family :
         {pointwise_kernels, reduce_kernels, shape_kernels, matmul_kernels, row_kernels,
          norm_kernels, attention_kernels, loss_kernels, optimizer_kernels, random_kernels})
      for (KernelRow& row : family()) t[row.op].push_back(std::move(row));
    return t;
  }();
  return table;
}

}  // namespace

const KernelRow* find_kernel(const Op& op, DeviceKind device, DType dtype) {
  const auto found = kernel_table().find(&op);
  if (found == kernel_table().end()) return nullptr;
  for (const KernelRow& row : found->second)
    if (row.device == device && (row.dtypes.empty() || std::ranges::count(row.dtypes, dtype)))
      return &row;
  return nullptr;
}

}  // namespace weft
