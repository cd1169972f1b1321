// Kernels of the ops that move or make values: all are strided copies and fills.
#include <cstring>

#include "weft/graph/ops/rules.h"
#include "weft/graph/views.h"
#include "weft/kernels/copy.h"

namespace weft {

extern const Op concat_op, pad_op, iota_op;

namespace {

// from, walked as `shape` with `strides`, to `to` with `to_strides`.
void copy_elements(const Launch& l, DType dtype, const Shape& shape, const std::byte* from,
                   const Shape& strides, std::byte* to, const Shape& to_strides) {
  if (shape.elements() == 0) return;
  kernels::StridedCopy p{};
  p.element_bytes = int(dtype_size(dtype)), p.rank = shape.rank(), p.in = from, p.out = to;
  for (int i = 0; i < p.rank; ++i)
    p.sizes[i] = shape[i], p.in_strides[i] = strides[i], p.out_strides[i] = to_strides[i];
  kernels::cpu::strided_copy(l.cpu(), p);
}

// A view whose consumers need contiguous bytes: the strides it would have, copied. Where no strides
// can say it (a reshape of a strided input), the input is copied in its own order, which is the
// result's.
template <const Op* op>
void run_view(const Launch& l) {
  const View &in = l.in[0], &out = l.out[0];
  const auto d = derive_view(*op, l.attrs, in.shape, in.strides, out.shape, 0);
  if (d)
    return copy_elements(l, in.dtype, out.shape,
                         in.data + d->offset * int64_t(dtype_size(in.dtype)), d->strides, out.data,
                         out.strides);
  copy_elements(l, in.dtype, in.shape, in.data, in.strides, out.data,
                Layout::contiguous(in.shape).strides);
}

void run_split(const Launch& l) {
  const View& in = l.in[0];
  for (size_t i = 0; i < l.out.size(); ++i) {
    const View& out = l.out[i];
    if (!out.data) continue;
    const auto d = derive_view(split_op, l.attrs, in.shape, in.strides, out.shape, int(i));
    copy_elements(l, in.dtype, out.shape, in.data + d->offset * int64_t(dtype_size(in.dtype)),
                  d->strides, out.data, out.strides);
  }
}

void run_copy(const Launch& l) {
  copy_elements(l, l.in[0].dtype, l.in[0].shape, l.in[0].data, l.in[0].strides, l.out[0].data,
                l.out[0].strides);
}

void run_concat(const Launch& l) {
  const View& out = l.out[0];
  const int axis = int(l.attrs.integer("axis"));
  std::byte* to = out.data;
  for (const View& part : l.in) {
    copy_elements(l, part.dtype, part.shape, part.data, part.strides, to, out.strides);
    to += part.shape[axis] * out.strides[axis] * int64_t(dtype_size(out.dtype));
  }
}

uint64_t bits_of(DType dtype, double value) {
  return visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    T typed;
    if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
      typed = T(float(value));
    else
      typed = static_cast<T>(value);
    uint64_t bits = 0;
    std::memcpy(&bits, &typed, sizeof typed);
    return bits;
  });
}

void fill(const Launch& l, const View& out, double value) {
  kernels::cpu::fill(l.cpu(), {int(dtype_size(out.dtype)), bits_of(out.dtype, value),
                               out.shape.elements(), out.data});
}

void run_full(const Launch& l) {
  fill(l, l.out[0], l.attrs.real("value"));
}

void run_pad(const Launch& l) {
  const View &in = l.in[0], &out = l.out[0];
  fill(l, out, l.attrs.real("value"));
  const int64_t before = l.attrs.integer("before") * out.strides[int(l.attrs.integer("axis"))];
  copy_elements(l, in.dtype, in.shape, in.data, in.strides,
                out.data + before * int64_t(dtype_size(in.dtype)), out.strides);
}

// One row of indices, then copied along the other axes.
void run_iota(const Launch& l) {
  const View& out = l.out[0];
  const int axis = int(l.attrs.integer("axis"));
  Shape strides = out.shape;
  for (int i = 0; i < out.shape.rank(); ++i) strides[i] = i == axis ? 1 : 0;
  for (int64_t i = 0; i < out.shape[axis]; ++i) {
    const uint64_t bits = bits_of(out.dtype, double(i));
    std::memcpy(l.scratch + size_t(i) * dtype_size(out.dtype), &bits, dtype_size(out.dtype));
  }
  copy_elements(l, out.dtype, out.shape, l.scratch, strides, out.data, out.strides);
}

}  // namespace

KernelRows shape_kernels() {
  const auto row_of_indices = [](const Launch& l) {
    return size_t(l.out[0].shape[int(l.attrs.integer("axis"))]) * 8;
  };
  return {
      {&reshape_op, DeviceKind::cpu, {}, run_view<&reshape_op>},
      {&transpose_op, DeviceKind::cpu, {}, run_view<&transpose_op>},
      {&slice_op, DeviceKind::cpu, {}, run_view<&slice_op>},
      {&broadcast_op, DeviceKind::cpu, {}, run_view<&broadcast_op>},
      {&split_op, DeviceKind::cpu, {}, run_split},
      {&copy_op, DeviceKind::cpu, {}, run_copy},
      {&concat_op, DeviceKind::cpu, {}, run_concat},
      {&pad_op, DeviceKind::cpu, {}, run_pad},
      {&full_op, DeviceKind::cpu, {}, run_full},
      {&iota_op, DeviceKind::cpu, {}, run_iota, row_of_indices},
  };
}

}  // namespace weft
