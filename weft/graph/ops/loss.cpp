// The language model's loss fused with its last product: the logits of the whole batch never exist.
#include "weft/graph/ops/rules.h"
#include "weft/kernels/cross_entropy.h"

namespace weft {
namespace {

// Inputs x, w, targets, weights; outputs loss, nll, dx, dw: the last two are the gradients for a
// cotangent of 1, made in the same pass over the logits when anybody reads them.
Types infer_loss(const Types& in, const Attrs&) {
  constexpr const char* op = "linear_cross_entropy";
  expect_float(in[0], op, "x");
  expect_rank(in[0], 2, op, "x"), expect_rank(in[1], 2, op, "w");
  expect(in[0].dtype == in[1].dtype && in[0].dims[1] == in[1].dims[1], op,
         "expected x[tokens, d] and w[vocab, d], got {} and {}", in[0].str(), in[1].str());
  const Dims tokens{in[0].dims[0]};
  const DType wide = stats_dtype(in[0].dtype);
  expect(in[2] == TensorType{DType::i32, tokens}, op, "targets must be i32{}, got {}", tokens.str(),
         in[2].str());
  expect(in[3] == TensorType{wide, tokens}, op, "weights must be {}{}, got {}", dtype_name(wide),
         tokens.str(), in[3].str());
  return {{wide, {}}, {wide, tokens}, in[0], {wide, in[1].dims}};
}

Tensor scaled(const Tensor& g, const Tensor& x) {
  return cast(broadcast_to(g, x.dims()), x.dtype()) * x;
}

Tensors loss_vjp(const VjpArgs& a) {
  if (!a.grad[0] || a.grad[1] || a.grad[2] || a.grad[3]) return {};
  return {scaled(a.grad[0], a.out[2]),
          scaled(a.grad[0], a.out[3]),
          {},
          a.out[1] * broadcast_to(a.grad[0], a.out[1].dims())};
}

// From the definition, with all logits.
Tensors decompose_loss(const Tensors& in, const Attrs&) {
  const Tensor &x = in[0], &w = in[1], &targets = in[2];
  const DType wide = stats_dtype(x.dtype());
  const Tensor logits = matmul(x, w, "td,vd->tv", wide);
  const Tensor vocab = iota(logits.dims(), 1, DType::i32);
  const Dim tokens = x.dim(0);
  const Tensor hit = equal(vocab, broadcast_to(reshape(targets, {tokens, 1}), logits.dims()));
  const Tensor top = stop_gradient(max(logits, 1, 1, true));
  const Tensor e = exp(logits - top), total = sum(e, 1, 1, true);
  const Tensor none = zeros(logits.dims(), wide);
  const Tensor counted = cast(less_equal(zeros({tokens}, DType::i32), targets), wide);
  const Tensor lse = reshape(log(total) + top, {tokens});
  const Tensor nll = (lse - sum(where(hit, logits, none), 1, 1)) * counted;
  const Tensor onehot = where(hit, full(logits.dims(), wide, 1), none);
  const Tensor weights = reshape(in[3] * counted, {tokens, 1});
  const Tensor dlogits = cast((e / total - onehot) * weights, x.dtype());
  return {sum(in[3] * nll), nll, matmul(dlogits, w, "tv,vd->td"),
          matmul(dlogits, x, "tv,td->vd", wide)};
}

kernels::LinearCrossEntropy loss_params(const Launch& l) {
  kernels::LinearCrossEntropy p;
  p.tokens = l.in[0].shape[0], p.width = l.in[0].shape[1], p.vocab = l.in[1].shape[0],
  p.dtype = l.in[0].dtype;
  p.x = l.in[0].data, p.w = l.in[1].data, p.targets = l.in[2].as<int32_t>(),
  p.weights = l.in[3].data;
  p.loss = l.out[0].data, p.nll = l.out[1].data, p.dx = l.out[2].data, p.dw = l.out[3].data,
  p.scratch = l.scratch;
  return p;
}

template <auto kernel>
void run(const Launch& l) {
  kernels::LinearCrossEntropy p = loss_params(l);
  int32_t bad = -1;
  p.bad = &bad;
  kernel(l, p);
  if (bad >= 0)
    user_error("[linear_cross_entropy] target {} of token {} is not below the vocabulary of {}",
               p.targets[bad], bad, p.vocab);
}

}  // namespace

const Op loss_op = {.name = "linear_cross_entropy",
                    .letters = "",
                    .infer = infer_loss,
                    .vjp = loss_vjp,
                    .decompose = decompose_loss};

KernelRows loss_kernels() {
  namespace k = kernels;
  const auto scratch = [](const Launch& l) {
    return k::linear_cross_entropy_scratch_bytes(loss_params(l), l.cpu().threads());
  };
  constexpr auto fast = [](const Launch& l, const k::LinearCrossEntropy& p) {
    k::cpu::linear_cross_entropy(l.cpu(), p);
  };
  constexpr auto reference = [](const Launch&, const k::LinearCrossEntropy& p) {
    k::ref::linear_cross_entropy<double>(p);
  };
  return {
      {&loss_op, DeviceKind::cpu, {DType::bf16, DType::f32}, run<fast>, scratch},
      {&loss_op, DeviceKind::cpu, {DType::f64}, run<reference>},
  };
}

CrossEntropy linear_cross_entropy(const Tensor& x, const Tensor& w, const Tensor& targets,
                                  const Tensor& weights) {
  const Tensors out = make_node(loss_op, {x, w, targets, weights});
  return {out[0], out[1]};
}

}  // namespace weft
