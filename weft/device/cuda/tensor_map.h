// Tensor maps: how the copy engine (TMA) cuts a tensor in device memory into boxes.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "weft/device/cuda/driver.h"

namespace weft::cuda {

enum class Element : int { f16 = 6, f32 = 7, bf16 = 9 };  // the driver's numbers

// A tensor of up to 4 dimensions, the innermost (contiguous) first, and the box that one copy
// moves. In shared memory a box is rows of 128 bytes, swizzled in groups of 8 rows (layout.h of the
// kernels): the innermost side of the box is 128 bytes long, at most. What of a box lies outside
// the tensor reads as zero and is not written.
struct TensorBoxes {
  Element element = Element::bf16;
  const void* data = nullptr;
  int rank = 2;
  std::array<int64_t, 4> sizes{1, 1, 1, 1};    // elements
  std::array<int64_t, 4> strides{1, 1, 1, 1};  // elements; that of the innermost is 1
  std::array<int, 4> box{1, 1, 1, 1};          // elements
};

// Throws Error(user) naming `what` when the hardware cannot take the address or a stride (both in
// multiples of 16 bytes), before anything is launched.
TensorMap make_tensor_map(const TensorBoxes& boxes, const std::string& what);

}  // namespace weft::cuda
