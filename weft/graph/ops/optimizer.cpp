// The optimizer's ops. They have no gradients.
#include "weft/graph/ops/rules.h"
#include "weft/kernels/adamw.h"
#include "weft/kernels/norm_square.h"

namespace weft {
namespace {

Types infer_norm_square(const Types& in, const Attrs&) {
  const bool ok = in[0].dtype == DType::f32 || in[0].dtype == DType::f64;
  expect(ok, "norm_square", "expected f32 or f64, got {}", in[0].str());
  return {{DType::f64, {1}}};
}
// Input f64[n]; outputs scale, norm.
Types infer_clip(const Types& in, const Attrs&) {
  expect(in[0].dtype == DType::f64 && in[0].dims.rank() == 1, "clip_scale",
         "expected f64[n], got {}", in[0].str());
  return {{DType::f32, {}}, {DType::f32, {}}};
}
// Inputs param, m, v, grad, hyper, scale; outputs param, m, v and param in bf16.
Types infer_adamw(const Types& in, const Attrs&) {
  const char* const names[] = {"param", "m", "v", "grad"};
  expect(in[0].dtype == DType::f32 || in[0].dtype == DType::f64, "adamw",
         "param must be f32 or f64, got {}", in[0].str());
  for (size_t i = 1; i < 4; ++i)
    expect(in[i] == in[0], "adamw", "{} must be {}, got {}", names[i], in[0].str(), in[i].str());
  expect(in[4] == TensorType{DType::f32, {4}}, "adamw", "hyper must be f32[4], got {}",
         in[4].str());
  expect(in[5] == TensorType{DType::f32, {}}, "adamw", "scale must be a f32 scalar, got {}",
         in[5].str());
  return {in[0], in[0], in[0], {DType::bf16, in[0].dims}};
}

kernels::NormSquare norm_square_params(const Launch& l) {
  kernels::NormSquare p;
  p.n = l.in[0].shape.elements(), p.dtype = l.in[0].dtype, p.x = l.in[0].data;
  p.out = l.out[0].as<double>(), p.scratch = reinterpret_cast<double*>(l.scratch);
  return p;
}
kernels::ClipScale clip_params(const Launch& l) {
  kernels::ClipScale p;
  p.count = l.in[0].shape[0], p.squares = l.in[0].as<double>(),
  p.max_norm = l.attrs.real("max_norm");
  p.scale = l.out[0].as<float>(), p.norm = l.out[1].as<float>();
  return p;
}
kernels::AdamW adamw_params(const Launch& l) {
  kernels::AdamW p;
  p.n = l.in[0].shape.elements(), p.dtype = l.in[0].dtype;
  p.param = l.in[0].data, p.m = l.in[1].data, p.v = l.in[2].data, p.grad = l.in[3].data;
  p.hyper = l.in[4].as<float>(), p.scale = l.in[5].as<float>();
  p.param_out = l.out[0].data, p.m_out = l.out[1].data, p.v_out = l.out[2].data;
  p.param_bf16_out = l.out[3].as<bf16>();
  p.beta1 = l.attrs.real("beta1"), p.beta2 = l.attrs.real("beta2");
  p.eps = l.attrs.real("epsilon"), p.weight_decay = l.attrs.real("weight_decay");
  return p;
}

}  // namespace

const Op norm_square_op = {.name = "norm_square", .letters = "", .infer = infer_norm_square};
const Op clip_op = {.name = "clip_scale", .letters = "", .infer = infer_clip};
const Op adamw_op = {
    .name = "adamw", .letters = "", .infer = infer_adamw, .in_place = {0, 1, 2}, .required = 3};

KernelRows optimizer_kernels() {
  namespace k = kernels;
  const auto scratch = [](const Launch& l) {
    return size_t(k::norm_square_scratch_bytes(l.in[0].shape.elements()));
  };
  return {
      {&norm_square_op,
       DeviceKind::cpu,
       {DType::f32},
       [](const Launch& l) { k::cpu::norm_square(l.cpu(), norm_square_params(l)); },
       scratch},
      {&norm_square_op,
       DeviceKind::cpu,
       {DType::f64},
       [](const Launch& l) { k::ref::norm_square<double>(norm_square_params(l)); }},
      {&clip_op,
       DeviceKind::cpu,
       {},
       [](const Launch& l) { k::cpu::clip_scale(l.cpu(), clip_params(l)); }},
      {&adamw_op,
       DeviceKind::cpu,
       {DType::f32},
       [](const Launch& l) { k::cpu::adamw(l.cpu(), adamw_params(l)); }},
      {&adamw_op,
       DeviceKind::cpu,
       {DType::f64},
       [](const Launch& l) { k::ref::adamw<double>(adamw_params(l)); }},
  };
}

Tensor norm_square(const Tensor& x) {
  return make_one(norm_square_op, {x});
}
Clip clip_by_global_norm(const Tensors& norm_squares, double max_norm) {
  const Tensors out = make_node(clip_op, {concat(norm_squares, 0)}, {{"max_norm", max_norm}});
  return {out[0], out[1]};
}
AdamWState adamw(const AdamWState& state, const Tensor& grad, const Tensor& hyper,
                 const Tensor& scale, const AdamWOptions& o) {
  const Tensors out = make_node(adamw_op, {state.param, state.m, state.v, grad, hyper, scale},
                                {{"beta1", o.beta1},
                                 {"beta2", o.beta2},
                                 {"epsilon", o.epsilon},
                                 {"weight_decay", o.weight_decay}});
  return {out[0], out[1], out[2], out[3]};
}

}  // namespace weft
