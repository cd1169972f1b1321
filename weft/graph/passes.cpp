#include "weft/graph/passes.h"

#include <algorithm>
#include <unordered_map>

#include "weft/graph/lowering.h"
#include "weft/graph/ops.h"

namespace weft {

namespace {

DType key_dtype(const Graph& g, const GraphNode& n) {
  for (const ValueId v : n.in)
    if (is_float(g.values[size_t(v)].dtype)) return g.values[size_t(v)].dtype;
  if (!n.in.empty()) return g.values[size_t(n.in[0])].dtype;
  return g.values[size_t(n.out[0])].dtype;
}

// Reads of `from` become reads of `to`.
void replace_uses(Graph& g, ValueId from, ValueId to) {
  for (GraphNode& n : g.nodes)
    for (ValueId& v : n.in)
      if (v == from) v = to;
  for (ValueId& v : g.outputs)
    if (v == from) v = to;
}

// The nodes of the decomposition of `n`, spliced into g's values; n's outputs are renamed to theirs
// in `renamed`.
std::vector<GraphNode> splice(Graph& g, const GraphNode& n, std::vector<ValueId>& renamed) {
  Tensors in;
  for (const ValueId v : n.in) in.push_back(placeholder(g.values[size_t(v)]));
  const Tensors out = n.op->decompose(in, n.attrs);
  Tensors leaves;
  const Graph sub = build_graph(out, in, leaves);
  WEFT_CHECK(leaves.size() == in.size(), "the decomposition of {} captures a tensor", n.op->name);
  std::vector<ValueId> ids(sub.values.size());
  for (size_t i = 0; i < in.size(); ++i) ids[size_t(sub.inputs[i])] = n.in[i];
  std::vector<GraphNode> nodes = sub.nodes;
  for (GraphNode& inner : nodes) {
    for (ValueId& v : inner.in) v = ids[size_t(v)];
    for (ValueId& v : inner.out) {
      const ValueId made = g.add_value(sub.values[size_t(v)]);
      ids[size_t(v)] = made;
      v = made;
    }
  }
  for (size_t i = 0; i < n.out.size(); ++i) renamed[size_t(n.out[i])] = ids[size_t(sub.outputs[i])];
  return nodes;
}

double full_value(const Graph& g, const std::vector<int>& defs, ValueId v, bool* is_full) {
  const int d = defs[size_t(v)];
  *is_full = d >= 0 && g.nodes[size_t(d)].op == &full_op;
  return *is_full ? g.nodes[size_t(d)].attrs.real("value") : 0;
}

}  // namespace

void expand_composites(Graph& g, DeviceKind device) {
  for (bool again = true; again;) {
    again = false;
    std::vector<GraphNode> out;
    std::vector<ValueId> renamed(g.values.size());
    for (size_t i = 0; i < renamed.size(); ++i) renamed[i] = ValueId(i);
    const auto rename = [&](ValueId v) {
      return size_t(v) < renamed.size() ? renamed[size_t(v)] : v;
    };
    for (GraphNode n : g.nodes) {
      for (ValueId& v : n.in) v = rename(v);
      if (n.op == &identity_op || n.op == &stop_gradient_op) {
        renamed[size_t(n.out[0])] = n.in[0];
      } else if (n.op == &precast_op) {
        renamed[size_t(n.out[0])] = n.in[1];
      } else if (n.op->decompose && !find_kernel(*n.op, device, key_dtype(g, n))) {
        again = true;
        for (GraphNode& inner : splice(g, n, renamed)) out.push_back(std::move(inner));
      } else {
        out.push_back(std::move(n));
      }
    }
    g.nodes = std::move(out);
    for (ValueId& v : g.outputs) v = rename(v);
  }
}

void simplify(Graph& g) {
  const std::vector<int> defs = g.definitions();
  for (GraphNode& n : g.nodes) {
    bool is_full = false;
    if (n.op == &broadcast_op) {
      const double value = full_value(g, defs, n.in[0], &is_full);
      if (is_full) {
        const TensorType& t = g.values[size_t(n.out[0])];
        n = {&full_op, {{"dims", t.dims}, {"dtype", t.dtype}, {"value", value}}, {}, n.out};
      }
    } else if (n.op == &mul_op) {
      for (const size_t side : {size_t(0), size_t(1)}) {
        if (full_value(g, defs, n.in[side], &is_full) != 1.0) continue;
        replace_uses(g, n.out[0], n.in[1 - side]);
        break;
      }
    }
  }
}

// Products read packed matrices as such; nobody else can read them.
void find_packed(Graph& g) {
  const std::vector<int> defs = g.definitions();
  for (GraphNode& n : g.nodes)
    for (size_t i = 0; i < n.in.size(); ++i) {
      const int d = n.in[i] == no_value ? -1 : defs[size_t(n.in[i])];
      if (d < 0 || g.nodes[size_t(d)].op != &packed_op) continue;
      if (n.op != &matmul_op || i != 1)
        user_error("[{}] cannot read a packed matrix; only a product can, on its right",
                   n.op->name);
      n.attrs.set("packed", int64_t(1));
    }
}

void merge_equal(Graph& g) {
  std::unordered_map<std::string, std::vector<ValueId>> seen;
  std::vector<ValueId> renamed(g.values.size());
  for (size_t i = 0; i < renamed.size(); ++i) renamed[i] = ValueId(i);
  std::vector<GraphNode> out;
  for (GraphNode& n : g.nodes) {
    for (ValueId& v : n.in) v = renamed[size_t(v)];
    std::string key = format("{} {} ", static_cast<const void*>(n.op), n.attrs.str());
    for (const ValueId v : n.in) key += format("{},", v);
    const auto [it, fresh] = seen.try_emplace(std::move(key), n.out);
    if (fresh || !n.op->pure) {
      out.push_back(std::move(n));
    } else {
      for (size_t i = 0; i < n.out.size(); ++i) renamed[size_t(n.out[i])] = it->second[i];
    }
  }
  // Barriers have kept recomputed values apart from the first ones; now they have done their work.
  std::erase_if(out, [&](GraphNode& n) {
    for (ValueId& v : n.in) v = renamed[size_t(v)];
    if (n.op != &barrier_op) return false;
    for (size_t i = 0; i < n.out.size(); ++i) renamed[size_t(n.out[i])] = n.in[i];
    return true;
  });
  g.nodes = std::move(out);
  for (ValueId& v : g.outputs) v = renamed[size_t(v)];
}

void remove_dead(Graph& g) {
  std::vector<bool> live(g.values.size(), false);
  for (const ValueId v : g.outputs) live[size_t(v)] = true;
  std::vector<bool> keep(g.nodes.size(), false);
  for (size_t i = g.nodes.size(); i-- > 0;) {
    for (const ValueId v : g.nodes[i].out)
      if (v != no_value && live[size_t(v)]) keep[i] = true;
    if (!keep[i]) continue;
    for (const ValueId v : g.nodes[i].in) live[size_t(v)] = true;
  }
  std::vector<GraphNode> out;
  for (size_t i = 0; i < g.nodes.size(); ++i) {
    if (!keep[i]) continue;
    for (size_t o = size_t(g.nodes[i].op->required); o < g.nodes[i].out.size(); ++o)
      if (ValueId& v = g.nodes[i].out[o]; v != no_value && !live[size_t(v)]) v = no_value;
    out.push_back(std::move(g.nodes[i]));
  }
  g.nodes = std::move(out);
}

void reduce_early(Graph& g) {
  const std::vector<int> defs = g.definitions();
  std::vector<std::vector<size_t>> followers(g.nodes.size());
  std::vector<bool> moved(g.nodes.size(), false);
  for (size_t i = 0; i < g.nodes.size(); ++i) {
    const GraphNode& n = g.nodes[i];
    if (n.op->view || n.in.size() != 1 || n.out.size() != 1) continue;
    const int d = defs[size_t(n.in[0])];
    const size_t in_bytes = g.values[size_t(n.in[0])].max_bytes(),
                 out_bytes = g.values[size_t(n.out[0])].max_bytes();
    if (d < 0 || moved[size_t(d)] || out_bytes * 64 > in_bytes) continue;
    followers[size_t(d)].push_back(i);
    moved[i] = true;
  }
  std::vector<GraphNode> out;
  for (size_t i = 0; i < g.nodes.size(); ++i) {
    if (moved[i]) continue;
    out.push_back(g.nodes[i]);
    for (const size_t f : followers[i]) out.push_back(g.nodes[f]);
  }
  g.nodes = std::move(out);
}

void run_passes(Graph& g, DeviceKind device, const PassOptions& options) {
  const auto run = [&](const char* name, auto pass) {
    pass();
    g.verify();
    if (options.trace) *options.trace += format("--- after {}\n{}", name, g.str());
  };
  run("expand_composites", [&] { expand_composites(g, device); });
  run("simplify", [&] { simplify(g); });
  run("find_packed", [&] { find_packed(g); });
  run("merge_equal", [&] { merge_equal(g); });
  run("remove_dead", [&] { remove_dead(g); });
  if (!options.fuse) return;
  run("fuse_epilogues", [&] { fuse_epilogues(g); });
  run("fuse_pointwise", [&] { fuse_pointwise(g); });
  run("reduce_early", [&] { reduce_early(g); });
}

}  // namespace weft
