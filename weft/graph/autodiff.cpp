#include "weft/graph/autodiff.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "weft/graph/lowering.h"
#include "weft/graph/ops.h"

namespace weft {
namespace {

using NodeSet = std::unordered_set<const Node*>;

// The pending nodes between `outputs` and `wrt`, in order of creation.
std::vector<std::shared_ptr<Node>> nodes_between(const Tensors& outputs, const Tensors& wrt,
                                                 NodeSet& dependent) {
  for (const Tensor& t : wrt) dependent.insert(t.node().get());
  std::vector<std::shared_ptr<Node>> order, stack;
  NodeSet seen;
  const auto visit = [&](const Tensor& t) {
    if (seen.insert(t.node().get()).second) stack.push_back(t.node());
  };
  for (const Tensor& t : outputs) visit(t);
  while (!stack.empty()) {
    const std::shared_ptr<Node> node = stack.back();
    stack.pop_back();
    order.push_back(node);
    for (const Tensor& t : node->inputs) visit(t);
  }
  std::ranges::sort(order, {}, [](const auto& n) { return n->id; });
  std::vector<std::shared_ptr<Node>> between;
  for (const auto& node : order) {
    const bool reached = std::ranges::any_of(node->inputs, [&](const Tensor& t) {
      return dependent.contains(t.node().get()) && is_float(t.dtype());
    });
    if (!reached) continue;
    dependent.insert(node.get());
    between.push_back(node);
  }
  return between;
}

class Cotangents {
 public:
  void add(const Tensor& t, const Tensor& grad) {
    Tensors& slots = of(t.node());
    Tensor& slot = slots[size_t(t.index())];
    if (grad.dims() != t.dims())
      throw_error(ErrorKind::internal, "the cotangent {} of a {} has another shape",
                  grad.type().str(), t.type().str());
    if (!slot)
      slot = grad;
    else if (is_sparse(grad) && slot.dtype() == grad.dtype())
      slot = add_sparse(grad, slot);
    else if (is_sparse(slot) && slot.dtype() == grad.dtype())
      slot = add_sparse(slot, grad);
    else if (slot.dtype() == grad.dtype())
      slot = slot + grad;
    else
      slot = cast(slot, accumulator(slot.dtype())) + cast(grad, accumulator(grad.dtype()));
  }
  // A gradient of a few rows of a table is added to the dense one in place, instead of as a second
  // table.
  static bool is_sparse(const Tensor& t) {
    return t.node()->op == &scatter_add_op && t.node()->inputs.size() == 2;
  }
  static Tensor add_sparse(const Tensor& sparse, const Tensor& dense) {
    return scatter_add(sparse.node()->inputs[0], sparse.node()->inputs[1], dense);
  }
  Tensors& of(const std::shared_ptr<Node>& node) {
    Tensors& slots = table_[node.get()];
    slots.resize(node->types.size());
    return slots;
  }

 private:
  std::unordered_map<const Node*, Tensors> table_;
};

// Casts take a wider cotangent through, as do ops that change no value; everything else gets its
// own dtype.
bool passes_wider(const Op& op) {
  return &op == &cast_op || &op == &precast_op || &op == &reshape_op || &op == &identity_op;
}

// The op's own rule, or else the rules of its decomposition.
Tensors node_vjp(const std::shared_ptr<Node>& node, Tensors grads,
                 const std::vector<bool>& wanted) {
  Tensors out;
  for (size_t i = 0; i < node->types.size(); ++i) {
    out.emplace_back(node, int(i));
    if (grads[i] && !passes_wider(*node->op)) grads[i] = cast(grads[i], node->types[i].dtype);
  }
  if (node->op->vjp) {
    Tensors result = node->op->vjp({node->inputs, out, grads, node->attrs, wanted});
    if (!result.empty()) return result;
  }
  if (!node->op->decompose) user_error("[{}] has no gradient", node->op->name);
  Tensors inputs;  // fresh, so that the walk stops here
  for (const Tensor& t : node->inputs) inputs.push_back(make_one(identity_op, {t}));
  const Tensors simple = node->op->decompose(inputs, node->attrs);
  Tensors outputs, cotangents;
  for (size_t i = 0; i < simple.size(); ++i)
    if (grads[i]) outputs.push_back(simple[i]), cotangents.push_back(grads[i]);
  Tensors wrt;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (wanted[i]) wrt.push_back(inputs[i]);
  const Tensors found = vjp(outputs, cotangents, wrt);
  Tensors result(inputs.size());
  for (size_t i = 0, next = 0; i < inputs.size(); ++i)
    if (wanted[i]) result[i] = found[next++];
  return result;
}

}  // namespace

Tensors detail::cotangents_of(const Tensors& wrt, const Tensors& outputs,
                              const Tensors& cotangents) {
  NodeSet dependent;
  const auto nodes = nodes_between(outputs, wrt, dependent);
  Cotangents table;
  for (size_t i = 0; i < outputs.size(); ++i) table.add(outputs[i], cotangents[i]);
  for (size_t n = nodes.size(); n-- > 0;) {
    const std::shared_ptr<Node>& node = nodes[n];
    const Tensors grads = table.of(node);
    if (std::ranges::none_of(grads, [](const Tensor& g) { return bool(g); })) continue;
    std::vector<bool> wanted;
    for (const Tensor& t : node->inputs)
      wanted.push_back(is_float(t.dtype()) && dependent.contains(t.node().get()));
    const Tensors result = node_vjp(node, grads, wanted);
    for (size_t i = 0; i < node->inputs.size(); ++i)
      if (wanted[i] && i < result.size() && result[i]) table.add(node->inputs[i], result[i]);
  }
  Tensors found;
  for (const Tensor& t : wrt) found.push_back(table.of(t.node())[size_t(t.index())]);
  return found;
}

Tensors vjp(const Tensors& outputs, const Tensors& cotangents, const Tensors& wrt) {
  WEFT_CHECK(outputs.size() == cotangents.size(), "{} outputs, {} cotangents", outputs.size(),
             cotangents.size());
  for (const Tensor& t : wrt)
    if (!is_float(t.dtype()))
      user_error("[grad] cannot differentiate with respect to a {} tensor", t.type().str());
  Tensors found = detail::cotangents_of(wrt, outputs, cotangents);
  for (size_t i = 0; i < wrt.size(); ++i)
    found[i] = found[i] ? cast(found[i], wrt[i].dtype()) : zeros(wrt[i].dims(), wrt[i].dtype());
  return found;
}

Tensors gradients(const Tensor& scalar, const Tensors& wrt) {
  if (scalar.dims().elements() != Dim(1) || !is_float(scalar.dtype()))
    user_error("[grad] needs a scalar float to differentiate, got {}", scalar.type().str());
  return vjp({scalar}, {full(scalar.dims(), scalar.dtype(), 1)}, wrt);
}

namespace detail {

Tensors jvp(const Tensors& outputs, const Tensors& x, const Tensors& tangents) {
  // vjp(u) = u J is linear in the dummy cotangents u; its own vjp at the tangents is J tangents.
  Tensors dummies;
  for (const Tensor& t : outputs)
    dummies.push_back(make_one(identity_op, {zeros(t.dims(), t.dtype())}));
  const Tensors pulled = weft::vjp(outputs, dummies, x);
  return weft::vjp(pulled, tangents, dummies);
}

}  // namespace detail
}  // namespace weft
