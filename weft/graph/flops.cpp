#include "weft/graph/flops.h"

#include "weft/graph/lowering.h"

namespace weft {
namespace {

double elements(const TensorType& t) {
  return double(t.dims.elements().max());
}

// Every letter of the product once: the sizes of the result times those that are summed over.
double matmul_flops(const Graph& g, const GraphNode& n) {
  const std::string& letters = n.attrs.text("letters");
  const std::string a = letters.substr(0, letters.find(',')),
                    c = letters.substr(letters.find("->") + 2);
  double flops = 2 * elements(g.values[size_t(n.out[0])]);
  for (size_t i = 0; i < a.size(); ++i)
    if (c.find(a[i]) == c.npos) flops *= double(g.values[size_t(n.in[0])].dims[i].max());
  return flops;
}

double attention_flops(const Graph& g, const GraphNode& n) {
  const Dims &q = g.values[size_t(n.in[0])].dims, &k = g.values[size_t(n.in[1])].dims;
  const int64_t most = n.attrs.integer("max_context");
  const double keys = double(most ? most : k[0].max());
  const double seen = n.attrs.integer("causal") ? (keys + 1) / 2 : keys;
  return 4 * double(q[0].max()) * double(q[1].max()) * double(q[2].max()) * seen;
}

double loss_flops(const Graph& g, const GraphNode& n) {
  const Dims &x = g.values[size_t(n.in[0])].dims, &w = g.values[size_t(n.in[1])].dims;
  const int products = 1 + (n.out[2] != no_value) + (n.out[3] != no_value);
  return 2.0 * products * double(x[0].max()) * double(x[1].max()) * double(w[0].max());
}

}  // namespace

double count_flops(const Graph& g) {
  double total = 0;
  for (const GraphNode& n : g.nodes) {
    if (n.op == &matmul_op)
      total += matmul_flops(g, n);
    else if (n.op == &attention_op)
      total += attention_flops(g, n);
    else if (n.op == &attention_grad_op)
      total += 2.5 * attention_flops(g, n);
    else if (n.op == &loss_op)
      total += loss_flops(g, n);
  }
  return total;
}

}  // namespace weft
