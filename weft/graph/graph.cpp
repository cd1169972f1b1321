#include "weft/graph/graph.h"

#include <algorithm>
#include <unordered_map>

namespace weft {
namespace {

// Every pending node the outputs need, in order of creation, which is an order of execution.
std::vector<Node*> pending_nodes(const Tensors& outputs) {
  std::vector<Node*> found, stack;
  std::unordered_map<const Node*, bool> seen;
  const auto visit = [&](const Tensor& t) {
    Node* node = t.node().get();
    if (!node->values.empty() || node->op == nullptr || seen[node]) return;
    seen[node] = true;
    stack.push_back(node);
  };
  for (const Tensor& t : outputs) visit(t);
  while (!stack.empty()) {
    Node* node = stack.back();
    stack.pop_back();
    found.push_back(node);
    for (const Tensor& t : node->inputs) visit(t);
  }
  std::ranges::sort(found, {}, &Node::id);
  return found;
}

std::string value_name(ValueId id) {
  return id == no_value ? "_" : format("%{}", id);
}

std::string join(const std::vector<ValueId>& ids) {
  std::string s;
  for (const ValueId id : ids) s += (s.empty() ? "" : ", ") + value_name(id);
  return s;
}

}  // namespace

Graph build_graph(const Tensors& outputs, const Tensors& first, Tensors& leaves) {
  Graph g;
  std::unordered_map<const Node*, std::vector<ValueId>> ids;
  const auto leaf = [&](const Tensor& t) {
    if (ids.contains(t.node().get())) return;
    std::vector<ValueId>& out = ids[t.node().get()];
    for (size_t i = 0; i < t.node()->types.size(); ++i) {
      out.push_back(g.add_value(t.node()->types[i]));
      g.inputs.push_back(out.back());
      leaves.emplace_back(t.node(), int(i));
    }
  };
  for (const Tensor& t : first) leaf(t);
  for (Node* node : pending_nodes(outputs)) {
    GraphNode n{node->op, node->attrs, {}, {}};
    for (const Tensor& t : node->inputs) {
      if (!ids.contains(t.node().get())) leaf(t);
      n.in.push_back(ids.at(t.node().get())[size_t(t.index())]);
    }
    for (const TensorType& type : node->types) n.out.push_back(g.add_value(type));
    ids[node] = n.out;
    g.nodes.push_back(std::move(n));
  }
  for (const Tensor& t : outputs) {
    leaf(t);
    g.outputs.push_back(ids.at(t.node().get())[size_t(t.index())]);
  }
  return g;
}

std::vector<int> Graph::use_counts() const {
  std::vector<int> uses(values.size(), 0);
  for (const GraphNode& n : nodes)
    for (const ValueId v : n.in)
      if (v != no_value) ++uses[size_t(v)];
  for (const ValueId v : outputs) ++uses[size_t(v)];
  return uses;
}

std::vector<int> Graph::definitions() const {
  std::vector<int> defs(values.size(), -1);
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const ValueId v : nodes[i].out)
      if (v != no_value) defs[size_t(v)] = int(i);
  return defs;
}

std::string Graph::str() const {
  std::string s = format("inputs {}\n", join(inputs));
  for (const GraphNode& n : nodes) {
    s += format("{} = {}({}) {}", join(n.out), n.op->name, join(n.in), n.attrs.str());
    for (const ValueId v : n.out) s += " : " + values[size_t(v)].str();
    s += "\n";
  }
  return s + format("outputs {}\n", join(outputs));
}

void Graph::verify() const {
  std::vector<bool> defined(values.size(), false);
  for (const ValueId v : inputs) defined[size_t(v)] = true;
  for (const GraphNode& n : nodes) {
    std::vector<TensorType> in;
    for (const ValueId v : n.in) {
      WEFT_CHECK(v == no_value || defined[size_t(v)], "{} reads {} before it is defined",
                 n.op->name, value_name(v));
      if (v != no_value) in.push_back(values[size_t(v)]);
    }
    for (const ValueId v : n.out) {
      if (v == no_value) continue;
      WEFT_CHECK(!defined[size_t(v)], "{} defines {} again", n.op->name, value_name(v));
      defined[size_t(v)] = true;
    }
    const std::vector<TensorType> types = n.op->infer(in, n.attrs);
    WEFT_CHECK(types.size() == n.out.size(), "{} has {} outputs", n.op->name, n.out.size());
    for (size_t i = 0; i < types.size(); ++i)
      WEFT_CHECK(n.out[i] == no_value || types[i] == values[size_t(n.out[i])],
                 "{} output {}: {} against {}", n.op->name, i, types[i].str(),
                 values[size_t(n.out[i])].str());
  }
  for (const ValueId v : outputs) WEFT_CHECK(defined[size_t(v)], "output {}", value_name(v));
}

}  // namespace weft
