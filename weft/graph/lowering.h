// From graph nodes to kernels: one readable table, keyed by op, device kind and dtypes. Nothing
// above kernels/ asks which device it is on.
#pragma once
#include <span>

#include "weft/graph/graph.h"

namespace weft {

// Bytes of one value in one run. Only ops marked `strided` see other than contiguous strides.
struct View {
  std::byte* data = nullptr;  // null: this output is not wanted
  DType dtype = DType::f32;
  Shape shape, strides;
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data);
  }
  bool contiguous() const { return Layout{shape, strides}.is_contiguous(); }
};

// What a kernel adapter gets: it fills the kernel's params struct and calls it.
struct Launch {
  const Attrs& attrs;
  std::span<const View> in, out;
  std::byte* scratch;
  Stream& stream;
  CpuStream& cpu() const { return static_cast<CpuStream&>(stream); }
};

struct KernelRow {
  const Op* op;
  DeviceKind device;
  // The float type this row is for: fast rows name bf16, f16 or f32; reference rows f64; no type:
  // any.
  std::vector<DType> dtypes;  // of the first input, or of the output when there is none; empty: any
  void (*launch)(const Launch& l);
  size_t (*scratch)(const Launch& l) =
      nullptr;  // bytes at these shapes; data pointers only say wanted or not
  bool (*accepts)(const Launch& l) =
      nullptr;  // whether it takes these strides; null: op.strided says all
};

// The table. Each op family lists its own rows beside its rules.
using KernelRows = std::vector<KernelRow>;
KernelRows pointwise_kernels();
KernelRows reduce_kernels();
KernelRows shape_kernels();
KernelRows matmul_kernels();
KernelRows row_kernels();
KernelRows norm_kernels();
KernelRows attention_kernels();
KernelRows loss_kernels();
KernelRows optimizer_kernels();
KernelRows random_kernels();

// The row for a node, or null when there is none (its decomposition is used then).
const KernelRow* find_kernel(const Op& op, DeviceKind device, DType dtype);

// Ops that passes create or look for.
extern const Op fused_pointwise_op, matmul_op, broadcast_op, full_op, cast_op, gelu_op,
    gelu_grad_op, add_op, mul_op, identity_op, stop_gradient_op, precast_op, scatter_add_op,
    barrier_op, concat_op, reshape_op, transpose_op, slice_op, split_op, copy_op,
    layer_norm_grad_op, rms_norm_grad_op, attention_op, attention_grad_op, loss_op, packed_op;

}  // namespace weft
