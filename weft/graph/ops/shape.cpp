// Ops that move or make values without arithmetic.
#include "weft/graph/ops/rules.h"

namespace weft {

extern const Op concat_op, pad_op, iota_op;

namespace {

bool broadcasts_to(const Dims& from, const Dims& to) {
  if (from.rank() > to.rank()) return false;
  for (int i = 1; i <= from.rank(); ++i) {
    const Dim d = from[from.size() - i];
    if (d != to[to.size() - i] && d != Dim(1)) return false;
  }
  return true;
}

Types infer_reshape(const Types& in, const Attrs& attrs) {
  const Dims& to = attrs.dims("dims");
  expect(in[0].dims.elements() == to.elements(), "reshape", "{} elements of {} do not fill {}",
         in[0].dims.elements().str(), in[0].str(), to.str());
  return {{in[0].dtype, to}};
}

Types infer_transpose(const Types& in, const Attrs& attrs) {
  const std::vector<int64_t>& p = attrs.list("permutation");
  TensorType out{in[0].dtype, {}};
  std::vector<bool> seen(in[0].dims.size(), false);
  for (const int64_t axis : p) {
    const bool ok = axis >= 0 && axis < in[0].dims.rank() && !seen[size_t(axis)];
    expect(ok, "transpose", "axis {} of the permutation does not fit {}", axis, in[0].str());
    seen[size_t(axis)] = true;
    out.dims.push_back(in[0].dims[size_t(axis)]);
  }
  expect(p.size() == seen.size(), "transpose", "{} axes were given for {}", p.size(), in[0].str());
  return {out};
}

Types infer_slice(const Types& in, const Attrs& attrs) {
  const size_t axis = size_t(attrs.integer("axis"));
  const int64_t begin = attrs.integer("begin"), end = attrs.integer("end");
  TensorType out = in[0];
  expect(out.dims[axis].is_constant() && begin >= 0 && begin <= end &&
             end <= out.dims[axis].constant(),
         "slice", "[{}, {}) of axis {} does not lie in {}", begin, end, axis, in[0].str());
  out.dims[axis] = end - begin;
  return {out};
}

Types infer_split(const Types& in, const Attrs& attrs) {
  const size_t axis = size_t(attrs.integer("axis")), parts = size_t(attrs.integer("parts"));
  TensorType part = in[0];
  part.dims[axis] = part.dims[axis] / Dim(int64_t(parts));
  return Types(parts, part);
}

Types infer_concat(const Types& in, const Attrs& attrs) {
  const size_t axis = size_t(attrs.integer("axis"));
  TensorType out = in[0];
  int64_t total = 0;
  for (const TensorType& t : in) {
    TensorType aligned = t;
    expect(t.dims.rank() == out.dims.rank(), "concat", "{} and {} differ in rank", in[0].str(),
           t.str());
    aligned.dims[axis] = in[0].dims[axis];
    expect(aligned == in[0], "concat", "{} and {} differ beside axis {}", in[0].str(), t.str(),
           axis);
    total += t.dims[axis].constant();
  }
  out.dims[axis] = total;
  return {out};
}

Types infer_pad(const Types& in, const Attrs& attrs) {
  const size_t axis = size_t(attrs.integer("axis"));
  TensorType out = in[0];
  expect(attrs.integer("before") >= 0 && attrs.integer("after") >= 0, "pad",
         "cannot pad by {} and {}", attrs.integer("before"), attrs.integer("after"));
  out.dims[axis] = out.dims[axis].constant() + attrs.integer("before") + attrs.integer("after");
  return {out};
}

Types infer_broadcast(const Types& in, const Attrs& attrs) {
  expect(broadcasts_to(in[0].dims, attrs.dims("dims")), "broadcast_to",
         "{} does not broadcast to {}", in[0].str(), attrs.dims("dims").str());
  return {{in[0].dtype, attrs.dims("dims")}};
}

Types infer_made(const Types&, const Attrs& attrs) {
  return {{attrs.dtype("dtype"), attrs.dims("dims")}};
}
Types infer_first(const Types& in, const Attrs&) {
  return {in[0]};
}

std::vector<int64_t> inverse(const std::vector<int64_t>& p) {
  std::vector<int64_t> q(p.size());
  for (size_t i = 0; i < p.size(); ++i) q[size_t(p[i])] = int64_t(i);
  return q;
}

}  // namespace

const Op reshape_op = {
    .name = "reshape",
    .letters = "",
    .infer = infer_reshape,
    .vjp = [](const VjpArgs& a) { return only(reshape(a.grad[0], a.in[0].dims())); },
    .view = true,
    .strided = true};
const Op transpose_op = {
    .name = "transpose",
    .letters = "",
    .infer = infer_transpose,
    .vjp =
        [](const VjpArgs& a) {
          return only(transpose(a.grad[0], inverse(a.attrs.list("permutation"))));
        },
    .view = true,
    .strided = true};
const Op slice_op = {.name = "slice",
                     .letters = "",
                     .infer = infer_slice,
                     .vjp =
                         [](const VjpArgs& a) {
                           const int axis = int(a.attrs.integer("axis"));
                           const int64_t size = a.in[0].dim(axis).constant();
                           return only(pad(a.grad[0], axis, a.attrs.integer("begin"),
                                           size - a.attrs.integer("end")));
                         },
                     .view = true,
                     .strided = true};
const Op split_op = {.name = "split",
                     .letters = "",
                     .infer = infer_split,
                     .vjp =
                         [](const VjpArgs& a) {
                           Tensors parts = a.grad;
                           for (size_t i = 0; i < parts.size(); ++i)
                             if (!parts[i]) parts[i] = zeros(a.out[i].dims(), a.out[i].dtype());
                           return only(concat(parts, int(a.attrs.integer("axis"))));
                         },
                     .view = true,
                     .strided = true,
                     .required = 0};
const Op broadcast_op = {
    .name = "broadcast",
    .letters = "",
    .infer = infer_broadcast,
    .vjp = [](const VjpArgs& a) { return only(sum_to(a.grad[0], a.in[0].dims())); },
    .view = true,
    .strided = true};
const Op concat_op = {.name = "concat",
                      .letters = "",
                      .infer = infer_concat,
                      .vjp =
                          [](const VjpArgs& a) {
                            Tensors grads;
                            const int axis = int(a.attrs.integer("axis"));
                            int64_t begin = 0;
                            for (const Tensor& part : a.in) {
                              const int64_t size = part.dim(axis).constant();
                              grads.push_back(slice(a.grad[0], axis, begin, begin + size));
                              begin += size;
                            }
                            return grads;
                          },
                      .strided = true};
const Op pad_op = {
    .name = "pad",
    .letters = "",
    .infer = infer_pad,
    .vjp =
        [](const VjpArgs& a) {
          const int axis = int(a.attrs.integer("axis"));
          const int64_t before = a.attrs.integer("before");
          return only(slice(a.grad[0], axis, before, before + a.in[0].dim(axis).constant()));
        },
    .strided = true};
// What the planner puts where a kernel needs a contiguous input.
const Op copy_op = {.name = "copy",
                    .letters = "...",
                    .infer = infer_first,
                    .vjp = [](const VjpArgs& a) { return only(a.grad[0]); },
                    .strided = true};
const Op full_op = {.name = "full", .letters = "", .infer = infer_made};
const Op iota_op = {.name = "iota", .letters = "", .infer = infer_made};
// Passes its input through; stop_gradient has no vjp.
const Op identity_op = {
    .name = "identity", .letters = "...", .infer = infer_first, .vjp = [](const VjpArgs& a) {
      return only(a.grad[0]);
    }};
const Op stop_gradient_op = {
    .name = "stop_gradient", .letters = "...", .infer = infer_first, .vjp = [](const VjpArgs&) {
      return Tensors{{}};
    }};

// Inputs master, copy: the copy, whose gradient goes to the master as that of the cast it came
// from.
const Op precast_op = {.name = "precast",
                       .letters = "...,...->...",
                       .infer =
                           [](const Types& in, const Attrs&) {
                             expect(is_float(in[0].dtype) && in[0].dims == in[1].dims, "precast",
                                    "{} is no cast of {}", in[1].str(), in[0].str());
                             return Types{in[1]};
                           },
                       .vjp =
                           [](const VjpArgs& a) {
                             return Tensors{cast(a.grad[0], a.in[0].dtype()), {}};
                           }};

Tensor sum_to(const Tensor& x, const Dims& dims) {
  Tensor y = x;
  if (y.rank() > dims.rank()) y = sum(y, 0, y.rank() - dims.rank() - 1);
  for (int i = 0; i < dims.rank(); ++i)
    if (dims[size_t(i)] == Dim(1) && y.dim(i) != Dim(1)) y = sum(y, i, i, true);
  return y;
}

Tensor full(const Dims& dims, DType dtype, double value) {
  return make_one(full_op, {}, {{"dims", dims}, {"dtype", dtype}, {"value", value}});
}
Tensor zeros(const Dims& dims, DType dtype) {
  return full(dims, dtype, 0);
}
Tensor iota(const Dims& dims, int axis, DType dtype) {
  return make_one(iota_op, {},
                  {{"dims", dims}, {"dtype", dtype}, {"axis", int64_t(dims.axis(axis))}});
}
Tensor reshape(const Tensor& x, const Dims& dims) {
  return x.dims() == dims ? x : make_one(reshape_op, {x}, {{"dims", dims}});
}
Tensor transpose(const Tensor& x, const std::vector<int64_t>& permutation) {
  return make_one(transpose_op, {x}, {{"permutation", permutation}});
}
Tensor broadcast_to(const Tensor& x, const Dims& dims) {
  if (x.dims() == dims) return x;
  // A constant stays one: nothing is stored, and passes see its value.
  if (x.node()->op == &full_op) return full(dims, x.dtype(), x.node()->attrs.real("value"));
  return make_one(broadcast_op, {x}, {{"dims", dims}});
}
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  return make_one(slice_op, {x},
                  {{"axis", int64_t(x.dims().axis(axis))}, {"begin", begin}, {"end", end}});
}
Tensors split(const Tensor& x, int axis, int64_t parts) {
  return make_node(split_op, {x}, {{"axis", int64_t(x.dims().axis(axis))}, {"parts", parts}});
}
Tensor concat(const Tensors& parts, int axis) {
  if (parts.empty()) user_error("[concat] expected at least one tensor, got none");
  return make_one(concat_op, parts, {{"axis", int64_t(parts[0].dims().axis(axis))}});
}
Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after, double value) {
  if (before == 0 && after == 0) return x;
  return make_one(pad_op, {x},
                  {{"axis", int64_t(x.dims().axis(axis))},
                   {"before", before},
                   {"after", after},
                   {"value", value}});
}
Tensor precast(const Tensor& master, const Tensor& copy) {
  return make_one(precast_op, {master, copy});
}
Tensor stop_gradient(const Tensor& x) {
  return make_one(stop_gradient_op, {x});
}

}  // namespace weft
