// Normalisations and softmax over the last axis. Their gradients are ops of their own with fused
// kernels; the decompositions are the oracles and give higher orders.
#include "weft/graph/ops/rules.h"
#include "weft/kernels/layer_norm.h"
#include "weft/kernels/rms_norm.h"
#include "weft/kernels/softmax.h"

namespace weft {
namespace {

TensorType row_stats(const TensorType& x) {
  TensorType t{stats_dtype(x.dtype), x.dims};
  t.dims.pop_back();
  return t;
}
TensorType gain_grad(const TensorType& x) {
  return {stats_dtype(x.dtype), {x.dims.back()}};
}

void check_gain(const TensorType& x, const TensorType& gain, std::string_view op) {
  expect_float(x, op, "x");
  expect(x.dims.rank() >= 1 && gain == TensorType{x.dtype, {x.dims.back()}}, op,
         "expected a gain or bias of {}[{}], got {}", dtype_name(x.dtype),
         x.dims.empty() ? "" : x.dims.back().str(), gain.str());
}

// Inputs x, gain, bias; outputs y, mean, rstd.
Types infer_layer_norm(const Types& in, const Attrs&) {
  check_gain(in[0], in[1], "layer_norm"), check_gain(in[0], in[2], "layer_norm");
  return {in[0], row_stats(in[0]), row_stats(in[0])};
}
// Inputs dy, x, gain, mean, rstd[, residual_grad]; outputs dx, dgain, dbias.
Types infer_layer_norm_grad(const Types& in, const Attrs&) {
  return {in[1], gain_grad(in[1]), gain_grad(in[1])};
}
// Inputs x, gain; outputs y, rstd.
Types infer_rms_norm(const Types& in, const Attrs&) {
  check_gain(in[0], in[1], "rms_norm");
  return {in[0], row_stats(in[0])};
}
// Inputs dy, x, gain, rstd[, residual_grad]; outputs dx, dgain.
Types infer_rms_norm_grad(const Types& in, const Attrs&) {
  return {in[1], gain_grad(in[1])};
}
Types infer_softmax(const Types& in, const Attrs&) {
  expect_float(in[0], "softmax", "x");
  expect(in[0].dims.rank() >= 1, "softmax", "x must have a dimension, got {}", in[0].str());
  return {in[0]};
}
Types infer_softmax_grad(const Types& in, const Attrs&) {
  return {in[1]};
}

bool only_first(const VjpArgs& a) {
  for (size_t i = 1; i < a.grad.size(); ++i)
    if (a.grad[i]) return false;
  return bool(a.grad[0]);
}
Tensor wide(const Tensor& x) {
  return cast(x, stats_dtype(x.dtype()));
}
Tensor mean_last(const Tensor& x) {
  return mean(x, -1, -1, true);
}
Tensor drop_last(const Tensor& x) {
  Dims d = x.dims();
  d.pop_back();
  return reshape(x, d);
}
Tensor with_last(const Tensor& x) {
  Dims d = x.dims();
  d.push_back(1);
  return reshape(x, d);
}
Tensor sum_rows(const Tensor& x) {
  return x.rank() == 1 ? x : sum(x, 0, x.rank() - 2);
}

Tensors decompose_layer_norm(const Tensors& in, const Attrs& attrs) {
  const Tensor x = wide(in[0]), mu = mean_last(x), centred = x - mu;
  const Tensor rstd = rsqrt(mean_last(centred * centred) + attrs.real("epsilon"));
  const Tensor y = centred * rstd * wide(in[1]) + wide(in[2]);
  return {cast(y, in[0].dtype()), drop_last(mu), drop_last(rstd)};
}
Tensors decompose_layer_norm_grad(const Tensors& in, const Attrs&) {
  const Tensor dy = wide(in[0]), x = wide(in[1]), rstd = with_last(in[4]);
  const Tensor h = (x - with_last(in[3])) * rstd, g = dy * wide(in[2]);
  Tensor dx = cast((g - mean_last(g) - h * mean_last(g * h)) * rstd, in[1].dtype());
  if (in.size() > 5) dx = dx + in[5];
  return {dx, sum_rows(dy * h), sum_rows(dy)};
}
Tensors decompose_rms_norm(const Tensors& in, const Attrs& attrs) {
  const Tensor x = wide(in[0]), rstd = rsqrt(mean_last(x * x) + attrs.real("epsilon"));
  return {cast(x * rstd * wide(in[1]), in[0].dtype()), drop_last(rstd)};
}
Tensors decompose_rms_norm_grad(const Tensors& in, const Attrs&) {
  const Tensor dy = wide(in[0]), rstd = with_last(in[3]), h = wide(in[1]) * rstd,
               g = dy * wide(in[2]);
  Tensor dx = cast((g - h * mean_last(g * h)) * rstd, in[1].dtype());
  if (in.size() > 4) dx = dx + in[4];
  return {dx, sum_rows(dy * h)};
}
Tensors decompose_softmax(const Tensors& in, const Attrs&) {
  const Tensor x = wide(in[0]), e = exp(x - stop_gradient(max(x, -1, -1, true)));
  return only(cast(e / sum(e, -1, -1, true), in[0].dtype()));
}
Tensors decompose_softmax_grad(const Tensors& in, const Attrs&) {
  const Tensor dy = wide(in[0]), y = wide(in[1]);
  return only(cast((dy - sum(dy * y, -1, -1, true)) * y, in[1].dtype()));
}

}  // namespace

// The mean and rstd of the gradient's inputs come from x: differentiating through the decomposition
// of the gradient alone would miss that, so the second order goes through x again.
const Op layer_norm_grad_op = {.name = "layer_norm_grad",
                               .letters = "",
                               .infer = infer_layer_norm_grad,
                               .decompose = decompose_layer_norm_grad};
const Op rms_norm_grad_op = {.name = "rms_norm_grad",
                             .letters = "",
                             .infer = infer_rms_norm_grad,
                             .decompose = decompose_rms_norm_grad};
const Op softmax_grad_op = {.name = "softmax_grad",
                            .letters = "...,...->...",
                            .infer = infer_softmax_grad,
                            .decompose = decompose_softmax_grad};
const Op layer_norm_op = {
    .name = "layer_norm",
    .letters = "",
    .infer = infer_layer_norm,
    .vjp =
        [](const VjpArgs& a) {
          if (!only_first(a)) return Tensors{};
          return make_node(layer_norm_grad_op, {a.grad[0], a.in[0], a.in[1], a.out[1], a.out[2]});
        },
    .decompose = decompose_layer_norm};
const Op rms_norm_op = {
    .name = "rms_norm",
    .letters = "",
    .infer = infer_rms_norm,
    .vjp =
        [](const VjpArgs& a) {
          if (!only_first(a)) return Tensors{};
          return make_node(rms_norm_grad_op, {a.grad[0], a.in[0], a.in[1], a.out[1]});
        },
    .decompose = decompose_rms_norm};
const Op softmax_op = {.name = "softmax",
                       .letters = "...->...",
                       .infer = infer_softmax,
                       .vjp =
                           [](const VjpArgs& a) {
                             return only(make_one(softmax_grad_op, {a.grad[0], a.out[0]}));
                           },
                       .decompose = decompose_softmax};

namespace {

// A fast kernel for bf16 and f32, the reference for f64, over one params builder.
template <auto params, auto fast, auto reference>
void add_rows(KernelRows& rows, const Op& op, size_t (*scratch)(const Launch&) = nullptr) {
  rows.push_back({&op,
                  DeviceKind::cpu,
                  {DType::f32, DType::bf16},
                  [](const Launch& l) { fast(l.cpu(), params(l)); },
                  scratch});
  rows.push_back(
      {&op, DeviceKind::cpu, {DType::f64}, [](const Launch& l) { reference(params(l)); }});
}

int64_t width_of(const View& v) {
  return v.shape[-1];
}
int64_t rows_of(const View& v) {
  int64_t n = 1;
  for (int i = 0; i + 1 < v.shape.rank(); ++i) n *= v.shape[i];
  return n;
}

kernels::LayerNormForward layer_norm_params(const Launch& l) {
  kernels::LayerNormForward p;
  p.rows = rows_of(l.in[0]), p.width = width_of(l.in[0]), p.dtype = l.in[0].dtype;
  p.x = l.in[0].data, p.gamma = l.in[1].data, p.beta = l.in[2].data;
  p.y = l.out[0].data, p.mean = l.out[1].data, p.rstd = l.out[2].data;
  p.eps = l.attrs.real("epsilon");
  return p;
}
kernels::LayerNormBackward layer_norm_grad_params(const Launch& l) {
  kernels::LayerNormBackward p;
  p.rows = rows_of(l.in[1]), p.width = width_of(l.in[1]), p.dtype = l.in[1].dtype;
  p.dy = l.in[0].data, p.x = l.in[1].data, p.gamma = l.in[2].data, p.mean = l.in[3].data,
  p.rstd = l.in[4].data;
  if (l.in.size() > 5) p.residual_grad = l.in[5].data;
  p.dx = l.out[0].data, p.dgamma = l.out[1].data, p.dbeta = l.out[2].data, p.scratch = l.scratch;
  return p;
}
kernels::RmsNormForward rms_norm_params(const Launch& l) {
  kernels::RmsNormForward p;
  p.rows = rows_of(l.in[0]), p.width = width_of(l.in[0]), p.dtype = l.in[0].dtype;
  p.x = l.in[0].data, p.gamma = l.in[1].data, p.y = l.out[0].data, p.rstd = l.out[1].data;
  p.eps = l.attrs.real("epsilon");
  return p;
}
kernels::RmsNormBackward rms_norm_grad_params(const Launch& l) {
  kernels::RmsNormBackward p;
  p.rows = rows_of(l.in[1]), p.width = width_of(l.in[1]), p.dtype = l.in[1].dtype;
  p.dy = l.in[0].data, p.x = l.in[1].data, p.gamma = l.in[2].data, p.rstd = l.in[3].data;
  if (l.in.size() > 4) p.residual_grad = l.in[4].data;
  p.dx = l.out[0].data, p.dgamma = l.out[1].data, p.scratch = l.scratch;
  return p;
}
kernels::SoftmaxForward softmax_params(const Launch& l) {
  kernels::SoftmaxForward p;
  p.rows = rows_of(l.in[0]), p.width = width_of(l.in[0]), p.dtype = l.in[0].dtype;
  p.x = l.in[0].data, p.y = l.out[0].data;
  return p;
}
kernels::SoftmaxBackward softmax_grad_params(const Launch& l) {
  kernels::SoftmaxBackward p;
  p.rows = rows_of(l.in[1]), p.width = width_of(l.in[1]), p.dtype = l.in[1].dtype;
  p.dy = l.in[0].data, p.y = l.in[1].data, p.dx = l.out[0].data;
  return p;
}

}  // namespace

KernelRows norm_kernels() {
  namespace k = kernels;
  const auto layer_norm_scratch = [](const Launch& l) {
    return size_t(k::layer_norm_backward_scratch_bytes(rows_of(l.in[1]), width_of(l.in[1])));
  };
  const auto rms_norm_scratch = [](const Launch& l) {
    return size_t(k::rms_norm_backward_scratch_bytes(rows_of(l.in[1]), width_of(l.in[1])));
  };
  KernelRows rows;
  add_rows<layer_norm_params, k::cpu::layer_norm_forward, k::ref::layer_norm_forward<double>>(
      rows, layer_norm_op);
  add_rows<layer_norm_grad_params, k::cpu::layer_norm_backward,
           k::ref::layer_norm_backward<double>>(rows, layer_norm_grad_op, layer_norm_scratch);
  add_rows<rms_norm_params, k::cpu::rms_norm_forward, k::ref::rms_norm_forward<double>>(
      rows, rms_norm_op);
  add_rows<rms_norm_grad_params, k::cpu::rms_norm_backward, k::ref::rms_norm_backward<double>>(
      rows, rms_norm_grad_op, rms_norm_scratch);
  add_rows<softmax_params, k::cpu::softmax_forward, k::ref::softmax_forward<double>>(rows,
                                                                                     softmax_op);
  add_rows<softmax_grad_params, k::cpu::softmax_backward, k::ref::softmax_backward<double>>(
      rows, softmax_grad_op);
  return rows;
}

Tensor layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, double epsilon) {
  return make_one(layer_norm_op, {x, gain, bias}, {{"epsilon", epsilon}});
}
Tensor rms_norm(const Tensor& x, const Tensor& gain, double epsilon) {
  return make_one(rms_norm_op, {x, gain}, {{"epsilon", epsilon}});
}
Tensor softmax(const Tensor& x) {
  return make_one(softmax_op, {x});
}

}  // namespace weft
