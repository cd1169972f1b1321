// Reductions over consecutive axes; the axes disappear (keep puts them back as 1 by a reshape).
#include "weft/kernels/reduce.h"

#include "weft/graph/ops/rules.h"

namespace weft {
namespace {

using kernels::ReduceOp;

Types infer_reduce(const Types& in, const Attrs& attrs) {
  const int64_t first = attrs.integer("first"), last = attrs.integer("last");
  TensorType out{attrs.dtype("dtype"), {}};
  for (int64_t i = 0; i < in[0].dims.rank(); ++i)
    if (i < first || i > last) out.dims.push_back(in[0].dims[size_t(i)]);
  return {out};
}

Dims kept(const Dims& dims, int first, int last) {
  Dims out = dims;
  for (int i = first; i <= last; ++i) out[size_t(i)] = 1;
  return out;
}

// The cotangent of a reduction, spread again over what was reduced.
Tensor spread(const Tensor& g, const VjpArgs& a) {
  const int first = int(a.attrs.integer("first")), last = int(a.attrs.integer("last"));
  return broadcast_to(reshape(g, kept(a.in[0].dims(), first, last)), a.in[0].dims());
}

Tensors sum_vjp(const VjpArgs& a) {
  return only(spread(cast(a.grad[0], a.in[0].dtype()), a));
}

// All entries that equal the maximum share its gradient.
Tensors max_vjp(const VjpArgs& a) {
  const Tensor hit = cast(equal(a.in[0], spread(a.out[0], a)), a.in[0].dtype());
  const int first = int(a.attrs.integer("first")), last = int(a.attrs.integer("last"));
  return only(hit * spread(a.grad[0] / sum(hit, first, last), a));
}

}  // namespace

const Op sum_op = {.name = "sum", .letters = "", .infer = infer_reduce, .vjp = sum_vjp};
const Op max_op = {.name = "max", .letters = "", .infer = infer_reduce, .vjp = max_vjp};
const Op argmax_op = {.name = "argmax", .letters = "", .infer = infer_reduce};

namespace {

Tensor reduce(const Op& op, const Tensor& x, int first_axis, int last_axis, bool keep, DType out) {
  const int first = x.dims().axis(first_axis), last = x.dims().axis(last_axis);
  if (first > last)
    user_error("[{}] axes {} to {} are out of order", op.name, first_axis, last_axis);
  const Tensor y =
      make_one(op, {x}, {{"first", int64_t(first)}, {"last", int64_t(last)}, {"dtype", out}});
  return keep ? reshape(y, kept(x.dims(), first, last)) : y;
}

int64_t count(const Tensor& x, int first, int last) {
  Dim n(1);
  for (int i = x.dims().axis(first); i <= x.dims().axis(last); ++i) n = n * x.dim(i);
  if (!n.is_constant())
    user_error("[mean] the size {} is symbolic; use sum and divide by a tensor", n.str());
  return n.constant();
}

ReduceOp reduce_code(const Launch& l, const Op* op) {
  (void)l;
  return op == &sum_op ? ReduceOp::sum : op == &max_op ? ReduceOp::max : ReduceOp::argmax;
}

kernels::Reduce reduce_params(const Launch& l, const Op* op) {
  const Shape& shape = l.in[0].shape;
  const int first = int(l.attrs.integer("first")), last = int(l.attrs.integer("last"));
  kernels::Reduce p{};
  p.op = reduce_code(l, op);
  p.in_dtype = l.in[0].dtype;
  p.out_dtype = l.attrs.dtype("dtype");
  p.outer = p.reduce = p.inner = 1;
  for (int i = 0; i < shape.rank(); ++i)
    (i < first ? p.outer : i <= last ? p.reduce : p.inner) *= shape[i];
  p.in = l.in[0].data;
  p.out = l.out[0].data;
  p.scratch = l.scratch;
  return p;
}
template <const Op* op>
void run_fast(const Launch& l) {
  kernels::cpu::reduce(l.cpu(), reduce_params(l, op));
}
template <const Op* op>
void run_ref(const Launch& l) {
  kernels::ref::reduce(reduce_params(l, op));
}
template <const Op* op>
size_t scratch(const Launch& l) {
  return kernels::reduce_scratch_bytes(reduce_params(l, op));
}
template <const Op* op>
void add_rows(KernelRows& rows) {
  rows.push_back(
      {op, DeviceKind::cpu, {DType::f32, DType::bf16, DType::f16}, run_fast<op>, scratch<op>});
  rows.push_back({op, DeviceKind::cpu, {}, run_ref<op>});
}

}  // namespace

KernelRows reduce_kernels() {
  KernelRows rows;
  add_rows<&sum_op>(rows);
  add_rows<&max_op>(rows);
  add_rows<&argmax_op>(rows);
  return rows;
}

Tensor sum(const Tensor& x, int first_axis, int last_axis, bool keep, std::optional<DType> out) {
  return reduce(sum_op, x, first_axis, last_axis, keep, out.value_or(x.dtype()));
}
Tensor sum(const Tensor& x) {
  return x.rank() == 0 ? x : sum(x, 0, -1);
}
Tensor mean(const Tensor& x, int first_axis, int last_axis, bool keep) {
  const Tensor s = sum(x, first_axis, last_axis, keep, accumulator(x.dtype()));
  return cast(s / double(count(x, first_axis, last_axis)), x.dtype());
}
Tensor mean(const Tensor& x) {
  return x.rank() == 0 ? x : mean(x, 0, -1);
}
Tensor max(const Tensor& x, int first_axis, int last_axis, bool keep) {
  return reduce(max_op, x, first_axis, last_axis, keep, x.dtype());
}
Tensor argmax(const Tensor& x, int axis) {
  return reduce(argmax_op, x, axis, axis, false, DType::i32);
}

}  // namespace weft
