// Pointwise ops: each row of the table is an op's name, kernel code and gradient. They lower one by
// one or, after the fusion pass, as regions: both through kernels::Pointwise, which rounds after
// every instruction.
#include "weft/graph/ops/pointwise.h"

#include <algorithm>

#include "weft/graph/ops/rules.h"

namespace weft {
namespace {

using kernels::PointwiseOp;

Types same_type(const Types& in, std::string_view op) {
  for (const TensorType& t : in)
    expect(t == in[0], op, "expected equal types, got {} and {}", in[0].str(), t.str());
  return {in[0]};
}
template <const char* name>
Types infer_same(const Types& in, const Attrs&) {
  return same_type(in, name);
}
template <const char* name>
Types infer_float(const Types& in, const Attrs&) {
  expect_float(in[0], name, "x");
  return same_type(in, name);
}
template <const char* name>
Types infer_compare(const Types& in, const Attrs&) {
  same_type(in, name);
  return {{DType::boolean, in[0].dims}};
}
Types infer_where(const Types& in, const Attrs&) {
  expect_dtype(in[0], DType::boolean, "where", "the condition");
  expect(in[1] == in[2] && in[0].dims == in[1].dims, "where",
         "expected one shape and type, got {}, {} and {}", in[0].str(), in[1].str(), in[2].str());
  return {in[1]};
}
Types infer_cast(const Types& in, const Attrs& attrs) {
  return {{attrs.dtype("dtype"), in[0].dims}};
}

Tensor zero_where(const Tensor& condition, const Tensor& g) {
  return where(condition, g, zeros(g.dims(), g.dtype()));
}

}  // namespace

// One line each: code, result rule, gradient.
#define WEFT_POINTWISE(op, code_name, infer_rule, ...) \
  namespace {                                          \
  constexpr char op##_name[] = #code_name;             \
  }                                                    \
  const Op op##_op = {op##_name, "...", infer_rule<op##_name>, __VA_ARGS__};

WEFT_POINTWISE(add, add, infer_same, [](const VjpArgs& a) { return Tensors{a.grad[0], a.grad[0]}; })
WEFT_POINTWISE(sub, sub, infer_same, [](const VjpArgs& a) {
  return Tensors{a.grad[0], -a.grad[0]};
})
WEFT_POINTWISE(mul, mul, infer_same, [](const VjpArgs& a) {
  return Tensors{a.grad[0] * a.in[1], a.grad[0] * a.in[0]};
})
WEFT_POINTWISE(div, div, infer_same, [](const VjpArgs& a) {
  const Tensor g = a.grad[0] / a.in[1];
  return Tensors{g, -(g * a.out[0])};
})
WEFT_POINTWISE(neg, neg, infer_same, [](const VjpArgs& a) { return only(-a.grad[0]); })
WEFT_POINTWISE(exp, exp, infer_float, [](const VjpArgs& a) { return only(a.grad[0] * a.out[0]); })
WEFT_POINTWISE(log, log, infer_float, [](const VjpArgs& a) { return only(a.grad[0] / a.in[0]); })
WEFT_POINTWISE(sqrt, sqrt, infer_float,
               [](const VjpArgs& a) { return only(a.grad[0] / (a.out[0] * 2.0)); })
WEFT_POINTWISE(rsqrt, rsqrt, infer_float,
               [](const VjpArgs& a) { return only(a.grad[0] * a.out[0] / a.in[0] * -0.5); })
WEFT_POINTWISE(pow, pow, infer_float, [](const VjpArgs& a) {
  const Tensor &x = a.in[0], &y = a.in[1], &g = a.grad[0];
  Tensors grads{g * y * pow(x, y - 1.0), {}};
  if (a.wanted[1]) grads[1] = g * a.out[0] * log(x);
  return grads;
})
WEFT_POINTWISE(tanh, tanh, infer_float,
               [](const VjpArgs& a) { return only(a.grad[0] * (1.0 - a.out[0] * a.out[0])); })
WEFT_POINTWISE(sigmoid, sigmoid, infer_float,
               [](const VjpArgs& a) { return only(a.grad[0] * a.out[0] * (1.0 - a.out[0])); })
WEFT_POINTWISE(erf, erf, infer_float, [](const VjpArgs& a) {
  constexpr double two_over_sqrt_pi = 1.1283791670955126;
  return only(a.grad[0] * exp(-(a.in[0] * a.in[0])) * two_over_sqrt_pi);
})
WEFT_POINTWISE(sin, sin, infer_float,
               [](const VjpArgs& a) { return only(a.grad[0] * cos(a.in[0])); })
WEFT_POINTWISE(cos, cos, infer_float,
               [](const VjpArgs& a) { return only(-(a.grad[0] * sin(a.in[0]))); })
WEFT_POINTWISE(abs, abs, infer_same, [](const VjpArgs& a) {
  return only(where(less(a.in[0], zeros(a.in[0].dims(), a.in[0].dtype())), -a.grad[0], a.grad[0]));
})
// Where both are equal the gradient goes to the first.
WEFT_POINTWISE(minimum, min, infer_same, [](const VjpArgs& a) {
  const Tensor first = less_equal(a.in[0], a.in[1]);
  return Tensors{zero_where(first, a.grad[0]),
                 where(first, zeros(a.grad[0].dims(), a.grad[0].dtype()), a.grad[0])};
})
WEFT_POINTWISE(maximum, max, infer_same, [](const VjpArgs& a) {
  const Tensor first = less_equal(a.in[1], a.in[0]);
  return Tensors{zero_where(first, a.grad[0]),
                 where(first, zeros(a.grad[0].dims(), a.grad[0].dtype()), a.grad[0])};
})
WEFT_POINTWISE(less, less, infer_compare, nullptr)
WEFT_POINTWISE(less_equal, less_equal, infer_compare, nullptr)
WEFT_POINTWISE(equal, equal, infer_compare, nullptr)
// d gelu(x) / dx.
WEFT_POINTWISE(gelu_grad, gelu_tanh_grad, infer_float, nullptr,
               // From y = x s(u), s the logistic function, u = 2 sqrt(2/pi) (x + 0.044715 x^3).
               [](const Tensors& in, const Attrs&) {
                 constexpr double c = 1.5957691216057308;
                 const Tensor& x = in[0];
                 const Tensor s = sigmoid((x + x * x * x * 0.044715) * c);
                 return only(s + x * s * (1.0 - s) * (1.0 + x * x * (3 * 0.044715)) * c);
               })
WEFT_POINTWISE(gelu, gelu_tanh, infer_float,
               [](const VjpArgs& a) { return only(a.grad[0] * make_one(gelu_grad_op, {a.in[0]})); })
// d silu(x) / dx.
WEFT_POINTWISE(silu_grad, silu_grad, infer_float, nullptr, [](const Tensors& in, const Attrs&) {
  const Tensor s = sigmoid(in[0]);
  return only(s + in[0] * s * (1.0 - s));
})
WEFT_POINTWISE(silu, silu, infer_float,
               [](const VjpArgs& a) { return only(a.grad[0] * make_one(silu_grad_op, {a.in[0]})); })
const Op where_op = {
    "where", "...", infer_where, [](const VjpArgs& a) {
      const Tensor none = zeros(a.grad[0].dims(), a.grad[0].dtype());
      return Tensors{{}, where(a.in[0], a.grad[0], none), where(a.in[0], none, a.grad[0])};
    }};
const Op cast_op = {"cast", "...", infer_cast, [](const VjpArgs& a) {
                      if (!is_float(a.in[0].dtype())) return Tensors{{}};
                      return only(cast(a.grad[0], a.in[0].dtype()));
                    }};

namespace {

Dims broadcast_dims(const Dims& a, const Dims& b, std::string_view op) {
  Dims out(size_t(std::max(a.rank(), b.rank())));
  for (int i = 1; i <= int(out.size()); ++i) {
    const Dim x = i <= a.rank() ? a[a.size() - i] : Dim(1),
              y = i <= b.rank() ? b[b.size() - i] : Dim(1);
    expect(x == y || x == Dim(1) || y == Dim(1), op, "shapes {} and {} do not broadcast", a.str(),
           b.str());
    out[out.size() - i] = x == Dim(1) ? y : x;
  }
  return out;
}

Tensor binary(const Op& op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype())
    user_error("[{}] expected one dtype, got {} and {}; cast one of them", op.name, a.type().str(),
               b.type().str());
  const Dims dims = broadcast_dims(a.dims(), b.dims(), op.name);
  return make_one(op, {broadcast_to(a, dims), broadcast_to(b, dims)});
}
Tensor scalar_like(const Tensor& x, double value) {
  return full(x.dims(), x.dtype(), value);
}

}  // namespace

Tensor operator+(const Tensor& a, const Tensor& b) {
  return binary(add_op, a, b);
}
Tensor operator-(const Tensor& a, const Tensor& b) {
  return binary(sub_op, a, b);
}
Tensor operator*(const Tensor& a, const Tensor& b) {
  return binary(mul_op, a, b);
}
Tensor operator/(const Tensor& a, const Tensor& b) {
  return binary(div_op, a, b);
}
Tensor operator+(const Tensor& a, double b) {
  return a + scalar_like(a, b);
}
Tensor operator-(const Tensor& a, double b) {
  return a - scalar_like(a, b);
}
Tensor operator*(const Tensor& a, double b) {
  return a * scalar_like(a, b);
}
Tensor operator/(const Tensor& a, double b) {
  return a / scalar_like(a, b);
}
Tensor operator+(double a, const Tensor& b) {
  return scalar_like(b, a) + b;
}
Tensor operator-(double a, const Tensor& b) {
  return scalar_like(b, a) - b;
}
Tensor operator*(double a, const Tensor& b) {
  return scalar_like(b, a) * b;
}
Tensor operator/(double a, const Tensor& b) {
  return scalar_like(b, a) / b;
}
Tensor operator-(const Tensor& a) {
  return make_one(neg_op, {a});
}
Tensor pow(const Tensor& a, const Tensor& b) {
  return binary(pow_op, a, b);
}
Tensor pow(const Tensor& a, double b) {
  return pow(a, scalar_like(a, b));
}
Tensor minimum(const Tensor& a, const Tensor& b) {
  return binary(minimum_op, a, b);
}
Tensor maximum(const Tensor& a, const Tensor& b) {
  return binary(maximum_op, a, b);
}
Tensor exp(const Tensor& x) {
  return make_one(exp_op, {x});
}
Tensor log(const Tensor& x) {
  return make_one(log_op, {x});
}
Tensor sqrt(const Tensor& x) {
  return make_one(sqrt_op, {x});
}
Tensor rsqrt(const Tensor& x) {
  return make_one(rsqrt_op, {x});
}
Tensor tanh(const Tensor& x) {
  return make_one(tanh_op, {x});
}
Tensor sigmoid(const Tensor& x) {
  return make_one(sigmoid_op, {x});
}
Tensor erf(const Tensor& x) {
  return make_one(erf_op, {x});
}
Tensor sin(const Tensor& x) {
  return make_one(sin_op, {x});
}
Tensor cos(const Tensor& x) {
  return make_one(cos_op, {x});
}
Tensor abs(const Tensor& x) {
  return make_one(abs_op, {x});
}
Tensor relu(const Tensor& x) {
  return maximum(x, zeros(x.dims(), x.dtype()));
}
Tensor gelu(const Tensor& x) {
  return make_one(gelu_op, {x});
}
Tensor silu(const Tensor& x) {
  return make_one(silu_op, {x});
}
Tensor less(const Tensor& a, const Tensor& b) {
  return binary(less_op, a, b);
}
Tensor less_equal(const Tensor& a, const Tensor& b) {
  return binary(less_equal_op, a, b);
}
Tensor equal(const Tensor& a, const Tensor& b) {
  return binary(equal_op, a, b);
}
Tensor where(const Tensor& condition, const Tensor& yes, const Tensor& no) {
  const Dims dims =
      broadcast_dims(condition.dims(), broadcast_dims(yes.dims(), no.dims(), "where"), "where");
  return make_one(where_op,
                  {broadcast_to(condition, dims), broadcast_to(yes, dims), broadcast_to(no, dims)});
}
Tensor cast(const Tensor& x, DType dtype) {
  return x.dtype() == dtype ? x : make_one(cast_op, {x}, {{"dtype", dtype}});
}

namespace {

// Rows as few dimensions as the inputs' strides allow: neighbours merge when every input walks them
// as one.
void collapse(kernels::Pointwise& p) {
  for (int d = p.rank - 2; d >= 0; --d) {
    const auto merges = [&](const int64_t* strides) {
      return strides[d] == strides[d + 1] * p.sizes[d + 1];
    };
    bool all = true;
    for (int i = 0; i < p.inputs; ++i) all = all && merges(p.input[i].strides);
    for (int i = 0; i < p.outputs; ++i) all = all && merges(p.output[i].strides);
    if (!all) continue;
    p.sizes[d] *= p.sizes[d + 1];
    const auto drop = [&](int64_t* strides) {
      strides[d] = strides[d + 1];
      for (int k = d + 1; k + 1 < p.rank; ++k) strides[k] = strides[k + 1];
    };
    for (int i = 0; i < p.inputs; ++i) drop(p.input[i].strides);
    for (int i = 0; i < p.outputs; ++i) drop(p.output[i].strides);
    for (int k = d + 1; k + 1 < p.rank; ++k) p.sizes[k] = p.sizes[k + 1];
    --p.rank;
  }
}

// The strides of a view read as `shape`, aligned from the right: 0 where it repeats.
void broadcast_strides(const View& v, const Shape& shape, int64_t* strides) {
  const int added = shape.rank() - v.shape.rank();
  for (int i = 0; i < shape.rank(); ++i)
    strides[i] = i < added || (v.shape[i - added] == 1 && shape[i] != 1) ? 0 : v.strides[i - added];
}

void run_program(const Launch& l, const std::vector<kernels::PointwiseInstr>& instr) {
  const View& out = l.out[0];
  if (out.shape.elements() == 0) return;
  WEFT_CHECK(out.shape.rank() <= kernels::pointwise_rank, "rank {}", out.shape.rank());
  kernels::Pointwise p;
  p.rank = out.shape.rank(), p.inputs = int(l.in.size()), p.outputs = 1,
  p.instrs = int(instr.size());
  for (int i = 0; i < p.rank; ++i) p.sizes[i] = out.shape[i];
  for (size_t i = 0; i < l.in.size(); ++i) {
    p.input[i].data = l.in[i].data, p.input[i].dtype = l.in[i].dtype;
    broadcast_strides(l.in[i], out.shape, p.input[i].strides);
  }
  p.output[0].data = out.data, p.output[0].instr = uint8_t(instr.size() - 1);
  for (int i = 0; i < p.rank; ++i) p.output[0].strides[i] = out.strides[i];
  if (p.rank == 0) p.rank = 1, p.sizes[0] = 1, p.output[0].strides[0] = 1;
  for (size_t i = 0; i < l.in.size() && out.shape.rank() == 0; ++i) p.input[i].strides[0] = 1;
  std::ranges::copy(instr, p.instr);
  collapse(p);
  kernels::pointwise(l.cpu(), p);
}

// A single node: its inputs, then its one instruction.
template <const Op* op>
void run_single(const Launch& l) {
  std::vector<kernels::PointwiseInstr> instr;
  for (size_t i = 0; i < l.in.size(); ++i)
    instr.push_back({PointwiseOp::input, l.in[i].dtype, uint8_t(i), 0, 0, 0});
  instr.push_back({*pointwise_code(*op), l.out[0].dtype, 0, 1, 2, 0});
  run_program(l, instr);
}
template <const Op*... ops>
void add_single(KernelRows& rows) {
  (rows.push_back({ops, DeviceKind::cpu, {}, run_single<ops>}), ...);
}

}  // namespace

// attrs: program, dims, dtype. Inputs broadcast to dims as the program's slots.
const Op fused_pointwise_op = {
    .name = "fused_pointwise", .letters = "...", .infer = [](const Types&, const Attrs& attrs) {
      return Types{{attrs.dtype("dtype"), attrs.dims("dims")}};
    }};

KernelRows pointwise_kernels() {
  KernelRows rows;
  add_single<&add_op, &sub_op, &mul_op, &div_op, &neg_op, &exp_op, &log_op, &sqrt_op, &rsqrt_op,
             &pow_op, &tanh_op, &sigmoid_op, &erf_op, &sin_op, &cos_op, &abs_op, &minimum_op,
             &maximum_op, &less_op, &less_equal_op, &equal_op, &where_op, &cast_op, &gelu_op,
             &gelu_grad_op, &silu_op, &silu_grad_op>(rows);
  rows.push_back({&fused_pointwise_op, DeviceKind::cpu, {}, [](const Launch& l) {
                    run_program(l, l.attrs.program("program").instr);
                  }});
  return rows;
}

std::optional<PointwiseOp> pointwise_code(const Op& op) {
  static const std::pair<const Op*, PointwiseOp> table[] = {
      {&add_op, PointwiseOp::add},
      {&sub_op, PointwiseOp::sub},
      {&mul_op, PointwiseOp::mul},
      {&div_op, PointwiseOp::div},
      {&neg_op, PointwiseOp::neg},
      {&exp_op, PointwiseOp::exp},
      {&log_op, PointwiseOp::log},
      {&sqrt_op, PointwiseOp::sqrt},
      {&rsqrt_op, PointwiseOp::rsqrt},
      {&pow_op, PointwiseOp::pow},
      {&tanh_op, PointwiseOp::tanh},
      {&sigmoid_op, PointwiseOp::sigmoid},
      {&erf_op, PointwiseOp::erf},
      {&sin_op, PointwiseOp::sin},
      {&cos_op, PointwiseOp::cos},
      {&abs_op, PointwiseOp::abs},
      {&minimum_op, PointwiseOp::min},
      {&maximum_op, PointwiseOp::max},
      {&less_op, PointwiseOp::less},
      {&less_equal_op, PointwiseOp::less_equal},
      {&equal_op, PointwiseOp::equal},
      {&where_op, PointwiseOp::where},
      {&cast_op, PointwiseOp::cast},
      {&gelu_op, PointwiseOp::gelu_tanh},
      {&gelu_grad_op, PointwiseOp::gelu_tanh_grad},
      {&silu_op, PointwiseOp::silu},
      {&silu_grad_op, PointwiseOp::silu_grad},
  };
  for (const auto& [known, code] : table)
    if (known == &op) return code;
  return {};
}

}  // namespace weft
