// Recomputation: a node that runs a function now and again in the backward pass (Chen et al.,
// "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174). It is expanded before
// anything else.
#include "weft/graph/autodiff.h"
#include "weft/graph/ops/rules.h"

namespace weft {
namespace {

Types infer_checkpoint(const Types& in, const Attrs& attrs) {
  Tensors inputs;
  for (const TensorType& t : in) inputs.push_back(placeholder(t));
  Types out;
  for (const Tensor& t : (*attrs.function("function"))(inputs)) out.push_back(t.type());
  return out;
}

Tensors run_function(const Tensors& in, const Attrs& attrs) {
  return (*attrs.function("function"))(in);
}

// The function again, over inputs that wait for the cotangents: the two runs are kept apart, and
// the second comes late.
Tensors checkpoint_vjp(const VjpArgs& a) {
  Tensors held = a.in, cotangents;
  for (const Tensor& g : a.grad)
    if (g) held.push_back(g);
  held = make_node(barrier_op, held);
  const Tensors in(held.begin(), held.begin() + int64_t(a.in.size()));
  const Tensors out = run_function(in, a.attrs);
  Tensors outputs;
  size_t next = a.in.size();
  for (size_t i = 0; i < out.size(); ++i)
    if (a.grad[i]) outputs.push_back(out[i]), cotangents.push_back(held[next++]);
  Tensors wrt;
  for (size_t i = 0; i < in.size(); ++i)
    if (a.wanted[i]) wrt.push_back(in[i]);
  // Not rounded here, so that all is as if nothing were recomputed.
  const Tensors found = detail::cotangents_of(wrt, outputs, cotangents);
  Tensors grads(in.size());
  for (size_t i = 0, f = 0; i < in.size(); ++i)
    if (a.wanted[i]) grads[i] = found[f++];
  return grads;
}

}  // namespace

const Op barrier_op = {.name = "barrier",
                       .letters = "...",
                       .infer = [](const Types& in, const Attrs&) { return in; },
                       .vjp = [](const VjpArgs& a) { return a.grad; },
                       .pure = false};
const Op checkpoint_op = {.name = "checkpoint",
                          .letters = "",
                          .infer = infer_checkpoint,
                          .vjp = checkpoint_vjp,
                          .decompose = run_function};

Tensors checkpoint(std::function<Tensors(const Tensors&)> f, const Tensors& inputs) {
  Tensors probe, leaves;
  for (const Tensor& t : inputs) probe.push_back(placeholder(t.type()));
  build_graph(f(probe), probe, leaves);
  if (leaves.size() != probe.size())
    user_error("[checkpoint] the function uses a tensor that is not one of its inputs; pass it in");
  return make_node(
      checkpoint_op, inputs,
      {{"function", std::make_shared<const std::function<Tensors(const Tensors&)>>(std::move(f))}});
}

}  // namespace weft
