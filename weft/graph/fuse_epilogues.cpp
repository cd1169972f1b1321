// Pointwise nodes that a kernel's epilogue can do, with the same roundings.
#include <algorithm>

#include "weft/graph/lowering.h"
#include "weft/graph/passes.h"

namespace weft {
namespace {

class EpilogueFusion {
 public:
  explicit EpilogueFusion(Graph& g)
      : g_(g), uses_(g.use_counts()), defs_(g.definitions()), gone_(g.nodes.size(), false) {}

  void run() {
    for (size_t i = 0; i < g_.nodes.size(); ++i) {
      if (g_.nodes[i].op == &gelu_op)
        gelu(i);
      else if (g_.nodes[i].op == &add_op)
        add(i);
      else if (g_.nodes[i].op == &mul_op)
        times_slope(i);
      else if (g_.nodes[i].op == &concat_op)
        join(i);
    }
    std::vector<GraphNode> out;
    for (size_t i = 0; i < g_.nodes.size(); ++i)
      if (!gone_[i]) out.push_back(std::move(g_.nodes[i]));
    g_.nodes = std::move(out);
  }

 private:
  int producer(ValueId v, const Op& op) const {
    const int d = defs_[size_t(v)];
    return d >= 0 && g_.nodes[size_t(d)].op == &op ? d : -1;
  }

  // gelu(product): the product's kernel gives gelu's result, and its slope when that is the one
  // other thing wanted of the product.
  void gelu(size_t i) {
    const ValueId pre = g_.nodes[i].in[0];
    const int d = producer(pre, matmul_op);
    if (d < 0) return;
    for (const char* taken : {"gelu", "residual", "halves"})
      if (g_.nodes[size_t(d)].attrs.has(taken)) return;
    const int slope = uses_[size_t(pre)] == 2 ? reader(pre, gelu_grad_op) : -1;
    if (uses_[size_t(pre)] != (slope < 0 ? 1 : 2)) return;
    GraphNode& product = g_.nodes[size_t(d)];
    product.attrs.set("gelu", int64_t(1));
    product.out = {g_.nodes[i].out[0]};
    gone_[i] = true;
    if (slope >= 0) {
      product.attrs.set("slope", int64_t(1));
      product.out.push_back(g_.nodes[size_t(slope)].out[0]);
      gone_[size_t(slope)] = true;
    }
    for (const ValueId v : product.out) defs_[size_t(v)] = d;
  }
  int reader(ValueId v, const Op& op) const {
    for (size_t i = 0; i < g_.nodes.size(); ++i)
      if (g_.nodes[i].op == &op && g_.nodes[i].in[0] == v) return int(i);
    return -1;
  }

  // product * gelu's slope, nothing else reading the product, which moves down to here.
  void times_slope(size_t i) {
    for (const size_t side : {size_t(0), size_t(1)}) {
      const ValueId gradient = g_.nodes[i].in[side], slope = g_.nodes[i].in[1 - side];
      const int d = producer(gradient, matmul_op), s = producer(slope, matmul_op);
      if (d < 0 || s < 0 || uses_[size_t(gradient)] != 1) continue;
      if (!g_.nodes[size_t(s)].attrs.has("slope") || g_.nodes[size_t(s)].out[1] != slope) continue;
      GraphNode fused = g_.nodes[size_t(d)];
      if (fused.in.size() != 2 || fused.out.size() != 1 || fused.attrs.has("gelu") ||
          fused.attrs.has("halves"))
        continue;
      fused.attrs.set("by_slope", int64_t(1));
      fused.in.push_back(slope);
      return move_down(size_t(d), i, std::move(fused));
    }
  }

  // Gradients of q, k and v that become those of one projection: attention writes them side by
  // side.
  void join(size_t i) {
    const std::vector<ValueId>& parts = g_.nodes[i].in;
    if (parts.size() != 3 || g_.nodes[i].attrs.integer("axis") != 1) return;
    const auto source = [&](ValueId v, const Op& op) {
      return uses_[size_t(v)] == 1 ? producer(v, op) : -1;
    };
    int rows[3], d = -1;  // nodes
    for (size_t n = 0; n < 3; ++n) {
      rows[n] = source(parts[n], reshape_op);
      if (rows[n] < 0) return;
      const ValueId heads = g_.nodes[size_t(rows[n])].in[0];
      const int from = source(heads, attention_grad_op);
      const Dims &row = g_.values[size_t(parts[n])].dims, &head = g_.values[size_t(heads)].dims;
      if (from < 0 || (n > 0 && from != d) || g_.nodes[size_t(from)].out[n] != heads ||
          row.rank() != 2 || row[0] != head[0])
        return;
      d = from;
    }
    GraphNode& gradient = g_.nodes[size_t(d)];
    gradient.attrs.set("joined", int64_t(1));
    gradient.out = g_.nodes[i].out;
    defs_[size_t(gradient.out[0])] = d;
    gone_[i] = true;
    for (const int row : rows) gone_[size_t(row)] = true;
  }

  // product + residual, dx of a norm + residual gradient: the producer moves down to the addition,
  // where the other operand is sure to exist.
  void add(size_t i) {
    for (const size_t side : {size_t(0), size_t(1)}) {
      const ValueId sum_of = g_.nodes[i].in[side], other = g_.nodes[i].in[1 - side];
      if (uses_[size_t(sum_of)] != 1 || sum_of == other) continue;
      if (add_to_product(i, sum_of, other) || add_to_norm(i, sum_of, other)) return;
    }
  }

  bool add_to_product(size_t i, ValueId product_out, ValueId residual) {
    const int d = producer(product_out, matmul_op);
    if (d < 0) return false;
    const GraphNode& product = g_.nodes[size_t(d)];
    if (product.attrs.has("residual") || product.out.size() != 1) return false;
    GraphNode fused = product;
    fused.attrs.set("residual", int64_t(1));
    fused.in.push_back(residual);
    move_down(size_t(d), i, std::move(fused));
    return true;
  }

  bool add_to_norm(size_t i, ValueId dx, ValueId residual) {
    for (const Op* op : {&layer_norm_grad_op, &rms_norm_grad_op}) {
      const int d = producer(dx, *op);
      const size_t plain = op == &layer_norm_grad_op ? 5 : 4;
      if (d < 0 || g_.nodes[size_t(d)].out[0] != dx || g_.nodes[size_t(d)].in.size() != plain)
        continue;
      // Its other outputs must not be read before the addition.
      if (read_between(size_t(d), i)) continue;
      GraphNode fused = g_.nodes[size_t(d)];
      fused.in.push_back(residual);
      move_down(size_t(d), i, std::move(fused));
      return true;
    }
    return false;
  }

  bool read_between(size_t d, size_t i) const {
    for (size_t j = d + 1; j < i; ++j)
      for (const ValueId v : g_.nodes[j].in)
        if (!gone_[j] && std::ranges::count(g_.nodes[d].out, v)) return true;
    return false;
  }

  void move_down(size_t d, size_t i, GraphNode fused) {
    fused.out[0] = g_.nodes[i].out[0];
    g_.nodes[i] = std::move(fused);
    for (const ValueId v : g_.nodes[i].out)
      if (v != no_value) defs_[size_t(v)] = int(i);
    gone_[d] = true;
  }

  Graph& g_;
  std::vector<int> uses_, defs_;
  std::vector<bool> gone_;
};

}  // namespace

void fuse_epilogues(Graph& g) {
  EpilogueFusion(g).run();
}

}  // namespace weft
