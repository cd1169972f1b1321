// The compiler's form of a computation: nodes in execution order over numbered values. Made from
// tensors, changed by passes, verified after each, printed as text, lowered to an Executable.
#pragma once
#include <string>
#include <vector>

#include "weft/graph/tensor.h"

namespace weft {

using ValueId = int32_t;
constexpr ValueId no_value = -1;

struct GraphNode {
  const Op* op;
  Attrs attrs;
  std::vector<ValueId> in;  // no_value where an optional input is absent
  std::vector<ValueId> out;
};

struct Graph {
  std::vector<TensorType> values;  // type of each value
  std::vector<ValueId> inputs;     // defined by the caller, in the caller's order
  std::vector<ValueId> outputs;
  std::vector<GraphNode> nodes;  // in order: a value is defined before it is used

  ValueId add_value(TensorType type) {
    values.push_back(std::move(type));
    return ValueId(values.size()) - 1;
  }
  // How often each value is read by nodes and outputs.
  std::vector<int> use_counts() const;
  // Which node defines each value; -1 for inputs.
  std::vector<int> definitions() const;
  std::string str() const;
  // Throws Error(internal) when an order, a type or a value is wrong.
  void verify() const;
};

// The graph that computes `outputs`; leaves become inputs and are listed in `leaves` in the inputs'
// order. `first` leaves come first and are inputs even when unused. Composites without a kernel are
// expanded by the passes.
Graph build_graph(const Tensors& outputs, const Tensors& first, Tensors& leaves);

}  // namespace weft
