#include "weft/device/cuda/tensor_map.h"

namespace weft::cuda {
namespace {

// The driver's numbers: no interleaving, 128-byte swizzle, reads promoted to 256 bytes of L2, zeros
// outside.
constexpr int no_interleave = 0, swizzle_128 = 3, promote_256 = 3, fill_zero = 0;
constexpr int64_t granule = 16;  // bytes: what addresses and strides are multiples of

int64_t element_bytes(Element e) {
  return e == Element::f32 ? 4 : 2;
}

void check_granules(const TensorBoxes& t, const std::string& what) {
  const int64_t bytes = element_bytes(t.element);
  if (reinterpret_cast<uintptr_t>(t.data) % granule != 0)
    user_error("{}: its address must be a multiple of {} bytes", what, granule);
  for (int i = 1; i < t.rank; ++i)
    if (t.sizes[i] > 1 && t.strides[i] * bytes % granule != 0)
      user_error("{}: a stride of {} elements was given; the copy engine takes multiples of {}",
                 what, t.strides[i], granule / bytes);
}

}  // namespace

TensorMap make_tensor_map(const TensorBoxes& t, const std::string& what) {
  check_granules(t, what);
  const int64_t bytes = element_bytes(t.element);
  uint64_t sizes[4], strides[4];
  uint32_t box[4], steps[4];
  for (int i = 0; i < t.rank; ++i) {
    sizes[i] = uint64_t(t.sizes[i]);
    box[i] = uint32_t(t.box[i]);
    steps[i] = 1;
    // A dimension of length 1 has no stride; the driver wants a granule all the same.
    if (i > 0) strides[i - 1] = t.sizes[i] > 1 ? uint64_t(t.strides[i] * bytes) : uint64_t(granule);
  }
  TensorMap map;
  check(driver().encode_tiled(&map, int(t.element), uint32_t(t.rank), const_cast<void*>(t.data),
                              sizes, strides, box, steps, no_interleave, swizzle_128, promote_256,
                              fill_zero),
        "cuTensorMapEncodeTiled", what);
  return map;
}

}  // namespace weft::cuda
