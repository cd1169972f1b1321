// The kernel code of a pointwise op, for its lowering and for the fusion pass.
#pragma once
#include <optional>

#include "weft/graph/tensor.h"
#include "weft/kernels/pointwise.h"

namespace weft {

// A fused region: instruction i defines value i, the last is the result. `input` instructions name
// the node's inputs.
struct PointwiseProgram {
  std::vector<kernels::PointwiseInstr> instr;
};

// Empty when `op` is not pointwise.
std::optional<kernels::PointwiseOp> pointwise_code(const Op& op);

}  // namespace weft
