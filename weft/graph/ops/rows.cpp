// Rows of tables by index: embeddings, their gradients, and writes into a cache.
#include <cstring>

#include "weft/graph/ops/rules.h"
#include "weft/kernels/gather.h"

namespace weft {
namespace {

void check_indices(const TensorType& indices, std::string_view op) {
  expect(indices.dtype == DType::i32 && indices.dims.rank() == 1, op,
         "indices must be i32[n], got {}", indices.str());
}
Dims with_rows(Dim rows, const Dims& like) {
  Dims d = like;
  d[0] = rows;
  return d;
}

// Inputs table, indices.
Types infer_gather(const Types& in, const Attrs&) {
  check_indices(in[1], "gather");
  expect(in[0].dims.rank() >= 1, "gather", "the table must have rows, got {}", in[0].str());
  return {{in[0].dtype, with_rows(in[1].dims[0], in[0].dims)}};
}
// Inputs grad, indices[, onto].
Types infer_scatter_add(const Types& in, const Attrs& attrs) {
  check_indices(in[1], "scatter_add");
  expect_float(in[0], "scatter_add", "the addends");
  expect(in[0].dims.rank() >= 1 && in[0].dims[0] == in[1].dims[0], "scatter_add",
         "{} indices do not fit the rows of {}", in[1].str(), in[0].str());
  if (in.size() > 2)
    expect(
        in[2] == TensorType{accumulator(in[0].dtype), with_rows(attrs.dims("rows")[0], in[0].dims)},
        "scatter_add", "rows of {} cannot be added to {}", in[0].str(), in[2].str());
  return {{accumulator(in[0].dtype), with_rows(attrs.dims("rows")[0], in[0].dims)}};
}
// Inputs into, indices, values.
Types infer_scatter_rows(const Types& in, const Attrs&) {
  check_indices(in[1], "scatter_rows");
  expect(in[2] == TensorType{in[0].dtype, with_rows(in[1].dims[0], in[0].dims)}, "scatter_rows",
         "{} values and {} do not fit {}", in[2].str(), in[1].str(), in[0].str());
  return {in[0]};
}

int64_t width(const Shape& s) {
  int64_t n = 1;
  for (int i = 1; i < s.rank(); ++i) n *= s[i];
  return n;
}

kernels::ScatterAddRows scatter_add_params(const Launch& l) {
  kernels::ScatterAddRows p{};
  p.grad = l.in[0].data, p.indices = l.in[1].data, p.out = l.out[0].data;
  p.n = l.in[1].shape[0], p.rows = l.out[0].shape[0], p.width = width(l.out[0].shape);
  p.onto = l.in.size() > 2;
  p.grad_dtype = l.in[0].dtype, p.index_dtype = DType::i32;
  return p;
}

void run_gather(const Launch& l) {
  int64_t bad = -1;
  kernels::GatherRows p{};
  p.table = l.in[0].data, p.indices = l.in[1].data, p.out = l.out[0].data;
  p.rows = l.in[0].shape[0], p.width = width(l.in[0].shape), p.n = l.in[1].shape[0];
  p.element_bytes = int(dtype_size(l.in[0].dtype)), p.index_dtype = DType::i32, p.bad = &bad;
  kernels::cpu::gather_rows(l.cpu(), p);
  if (bad >= 0)
    user_error("[gather] index {} at position {} is not a row of the table of {}",
               l.in[1].as<int32_t>()[bad], bad, p.rows);
}

// The planner writes over an input where it may; else the rows that stay are copied first.
void keep_rows(const Launch& l, const View& from) {
  const View& out = l.out[0];
  if (out.data != from.data)
    std::memcpy(out.data, from.data, size_t(out.shape.elements()) * dtype_size(out.dtype));
}

template <auto kernel>
void run_scatter_add(const Launch& l) {
  if (l.in.size() > 2) keep_rows(l, l.in[2]);
  kernel(l, scatter_add_params(l));
}

void run_scatter_rows(const Launch& l) {
  keep_rows(l, l.in[0]);
  int64_t bad = -1;
  kernels::ScatterRows p{};
  p.values = l.in[2].data, p.indices = l.in[1].data, p.out = l.out[0].data;
  p.n = l.in[1].shape[0], p.rows = l.out[0].shape[0], p.width = width(l.out[0].shape);
  p.element_bytes = int(dtype_size(l.in[0].dtype)), p.index_dtype = DType::i32, p.bad = &bad;
  kernels::cpu::scatter_rows(l.cpu(), p);
  if (bad >= 0)
    user_error("[scatter_rows] index {} at position {} is not a row of {}",
               l.in[1].as<int32_t>()[bad], bad, p.rows);
}

}  // namespace

// The table's gradient stays in f32: it is a sum over tokens, as a weight's is.
const Op gather_op = {
    .name = "gather", .letters = "", .infer = infer_gather, .vjp = [](const VjpArgs& a) {
      return Tensors{scatter_add(a.grad[0], a.in[1], a.in[0].dim(0)), {}};
    }};
const Op scatter_add_op = {
    .name = "scatter_add",
    .letters = "",
    .infer = infer_scatter_add,
    .vjp =
        [](const VjpArgs& a) {
          Tensors grads{cast(gather(a.grad[0], a.in[1]), a.in[0].dtype()), {}};
          if (a.in.size() > 2) grads.push_back(a.grad[0]);
          return grads;
        },
    .in_place = {2}};
const Op scatter_rows_op = {
    .name = "scatter_rows",
    .letters = "",
    .infer = infer_scatter_rows,
    .vjp =
        [](const VjpArgs& a) {
          const Tensor& g = a.grad[0];
          const Tensor none = zeros(a.in[2].dims(), g.dtype());
          // A skipped value (negative index) gets no gradient.
          const Dim n = a.in[1].dim(0);
          Dims column(size_t(g.rank()), Dim(1));
          column[0] = n;
          const Tensor written = reshape(less_equal(zeros({n}, DType::i32), a.in[1]), column);
          const Tensor safe = maximum(a.in[1], zeros({n}, DType::i32));
          return Tensors{scatter_rows(g, a.in[1], none), {}, where(written, gather(g, safe), none)};
        },
    .in_place = {0}};

KernelRows row_kernels() {
  constexpr auto fast = [](const Launch& l, const kernels::ScatterAddRows& p) {
    kernels::cpu::scatter_add_rows(l.cpu(), p);
  };
  constexpr auto reference = [](const Launch&, const kernels::ScatterAddRows& p) {
    kernels::ref::scatter_add_rows(p);
  };
  return {
      {&gather_op, DeviceKind::cpu, {}, run_gather},
      {&scatter_add_op, DeviceKind::cpu, {DType::f64}, run_scatter_add<reference>},
      {&scatter_add_op, DeviceKind::cpu, {}, run_scatter_add<fast>},
      {&scatter_rows_op, DeviceKind::cpu, {}, run_scatter_rows},
  };
}

Tensor gather(const Tensor& table, const Tensor& indices) {
  return make_one(gather_op, {table, indices});
}
Tensor scatter_add(const Tensor& grad, const Tensor& indices, Dim rows) {
  return make_one(scatter_add_op, {grad, indices}, {{"rows", Dims{rows}}});
}
Tensor scatter_add(const Tensor& grad, const Tensor& indices, const Tensor& onto) {
  return make_one(scatter_add_op, {grad, indices, onto}, {{"rows", Dims{onto.dim(0)}}});
}
Tensor scatter_rows(const Tensor& into, const Tensor& indices, const Tensor& values) {
  return make_one(scatter_rows_op, {into, indices, values});
}

}  // namespace weft
