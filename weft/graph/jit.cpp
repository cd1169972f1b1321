#include "weft/graph/jit.h"

#include <mutex>
#include <unordered_map>

#include "weft/graph/lowering.h"

namespace weft {
namespace detail {

Tensor mark(const Tensor& t) {
  return make_one(identity_op, {t});
}

std::string signature(const Tensors& leaves) {
  std::string s;
  for (const Tensor& t : leaves) {
    const Dims& dims = t.dims();
    s += {char(t.dtype()), char(dims.size())};
    s.append(reinterpret_cast<const char*>(dims.data()), dims.size() * sizeof(Dim));
  }
  return s;
}

std::unique_ptr<Traced> trace(const Tensors& outputs, const Tensors& placeholders,
                              std::vector<bool> donated, std::any result) {
  Tensors leaves;
  Graph graph = build_graph(outputs, placeholders, leaves);
  auto traced = std::make_unique<Traced>();
  for (size_t i = placeholders.size(); i < leaves.size(); ++i)
    traced->captured.push_back(leaves[i].value());
  donated.resize(leaves.size(), false);
  traced->executable = std::make_unique<Executable>(std::move(graph), default_device(),
                                                    ExecutableOptions{std::move(donated)});
  traced->result = std::move(result);
  return traced;
}

Tensors call(Traced& traced, Tensors leaves, const std::vector<bool>& donated) {
  std::vector<Array> inputs;
  inputs.reserve(leaves.size() + traced.captured.size());
  for (const Tensor& t : leaves) inputs.push_back(t.value());
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (!donated[i]) continue;
    leaves[i].node()->values.clear();
    leaves[i].node()->donated = true;
  }
  inputs.insert(inputs.end(), traced.captured.begin(), traced.captured.end());
  std::vector<Array> arrays = traced.executable->run(std::move(inputs));
  Tensors outputs;
  outputs.reserve(arrays.size());
  for (size_t i = 0; i < arrays.size(); ++i) {
    // A donated leaf that nobody else holds is the result of its place: a training loop makes no
    // nodes.
    if (i < leaves.size() && donated[i] && leaves[i].node().use_count() == 1) {
      leaves[i].node()->hold(std::move(arrays[i]));
      outputs.emplace_back(leaves[i].node(), 0);
    } else {
      outputs.emplace_back(std::move(arrays[i]));
    }
  }
  return outputs;
}

}  // namespace detail

void eval(const Tensors& tensors) {
  Tensors pending;  // all outputs of every node asked for
  for (const Tensor& t : tensors)
    for (size_t i = 0; !t.has_value() && i < t.node()->types.size(); ++i)
      pending.emplace_back(t.node(), int(i));
  if (pending.empty()) return;
  Tensors leaves;
  Graph graph = build_graph(pending, {}, leaves);
  std::vector<Array> inputs;
  for (const Tensor& t : leaves) {
    if (!t.has_value() && !t.node()->donated)
      user_error(
          "the value of this {} tensor is not known while a function is traced; return it instead",
          t.type().str());
    inputs.push_back(t.value());
  }
  // Define-by-run loops build the same graph again and again: its executable is kept under its
  // text.
  static std::mutex mutex;
  static std::unordered_map<std::string, std::unique_ptr<Executable>> cache;
  constexpr size_t kept = 256;
  const std::lock_guard lock(mutex);
  std::string key = graph.str();
  for (const Tensor& t : leaves) key += t.type().str();
  key += format("@{}", static_cast<const void*>(&default_device()));
  if (key.find("fn@") != key.npos || cache.size() >= kept) cache.clear();
  std::unique_ptr<Executable>& executable = cache[key];
  if (!executable)
    executable = std::make_unique<Executable>(std::move(graph), default_device(),
                                              ExecutableOptions{.keep_memory = false});
  const std::vector<Array> outputs = executable->run(std::move(inputs));
  for (size_t i = 0; i < pending.size(); ++i) {
    // The node becomes a leaf: what it was computed from is let go.
    Node& node = *pending[i].node();
    node.values.resize(node.types.size());
    node.values[size_t(pending[i].index())] = outputs[i];
    node.op = nullptr;
    node.inputs.clear();
  }
}

}  // namespace weft
