// Chains of pointwise nodes become one program. A producer joins its consumer when nobody else
// reads it, so every region has one result; broadcasts are read with stride 0 and constants become
// instructions.
#include <algorithm>

#include "weft/graph/lowering.h"
#include "weft/graph/ops/pointwise.h"
#include "weft/graph/passes.h"

namespace weft {
namespace {

using kernels::Pointwise;
using kernels::PointwiseInstr;
using kernels::PointwiseOp;

struct Region {
  std::vector<ValueId> inputs;
  std::vector<PointwiseInstr> instr;
  std::vector<size_t> members;  // nodes that it replaces

  // The index of the instruction that reads `v`.
  size_t input(ValueId v, DType dtype) {
    const auto found = std::ranges::find(inputs, v);
    const size_t slot = size_t(found - inputs.begin());
    if (found == inputs.end()) inputs.push_back(v);
    for (size_t i = 0; i < instr.size(); ++i)
      if (instr[i].op == PointwiseOp::input && instr[i].a == slot) return i;
    instr.push_back({PointwiseOp::input, dtype, uint8_t(slot), 0, 0, 0});
    return instr.size() - 1;
  }
};

class PointwiseFusion {
 public:
  explicit PointwiseFusion(Graph& g)
      : g_(g), uses_(g.use_counts()), defs_(g.definitions()), regions_(g.nodes.size()) {}

  void run() {
    for (size_t i = 0; i < g_.nodes.size(); ++i)
      if (pointwise_code(*g_.nodes[i].op) && dims(g_.nodes[i]).rank() <= kernels::pointwise_rank)
        regions_[i] = grow(i);
    emit();
  }

 private:
  const Dims& dims(const GraphNode& n) const { return g_.values[size_t(n.out[0])].dims; }
  const TensorType& type(ValueId v) const { return g_.values[size_t(v)]; }

  // The node's own instruction over what its operands turn into.
  Region grow(size_t i) {
    const GraphNode& n = g_.nodes[i];
    Region r;
    uint8_t operand[3] = {};
    for (size_t k = 0; k < n.in.size(); ++k) {
      const size_t before = size_t(std::ranges::find(n.in, n.in[k]) - n.in.begin());
      operand[k] = before < k ? operand[before] : uint8_t(add_operand(r, i, n.in[k]));
    }
    r.instr.push_back(
        {*pointwise_code(*n.op), type(n.out[0]).dtype, operand[0], operand[1], operand[2], 0});
    r.members.push_back(i);
    return r;
  }

  size_t add_operand(Region& r, size_t consumer, ValueId v) {
    const int d = defs_[size_t(v)];
    if (d >= 0) {
      const GraphNode& producer = g_.nodes[size_t(d)];
      if (producer.op == &full_op) {
        r.instr.push_back(
            {PointwiseOp::constant, type(v).dtype, 0, 0, 0, producer.attrs.real("value")});
        return r.instr.size() - 1;
      }
      if (producer.op == &broadcast_op) return r.input(producer.in[0], type(v).dtype);
      const auto reads = std::ranges::count(g_.nodes[consumer].in, v);
      if (!regions_[size_t(d)].instr.empty() && uses_[size_t(v)] == reads &&
          fits(r, regions_[size_t(d)], consumer))
        return append(r, regions_[size_t(d)]);
    }
    return r.input(v, type(v).dtype);
  }

  // Room for the producer's program and for what the consumer may still add. Float programs stay on
  // the fast path.
  bool fits(const Region& r, const Region& producer, size_t consumer) const {
    const auto slow = [&](const TensorType& t) {
      return t.dtype == DType::f64 || t.dtype == DType::i64 || t.dtype == DType::u8;
    };
    for (const ValueId v : g_.nodes[consumer].in)
      if (slow(type(v))) return false;
    if (slow(type(g_.nodes[consumer].out[0]))) return false;
    for (const PointwiseInstr& p : producer.instr)
      if (slow({p.dtype, {}})) return false;
    return r.instr.size() + producer.instr.size() + 4 <= Pointwise::max_instrs &&
           r.inputs.size() + producer.inputs.size() + 3 <= Pointwise::max_inputs;
  }

  size_t append(Region& r, const Region& producer) {
    std::vector<uint8_t> at(producer.instr.size());
    for (size_t i = 0; i < producer.instr.size(); ++i) {
      PointwiseInstr p = producer.instr[i];
      if (p.op == PointwiseOp::input) {
        at[i] = uint8_t(r.input(producer.inputs[p.a], p.dtype));
        continue;
      }
      const int operands = kernels::pointwise_operands(p.op);
      if (operands > 0) p.a = at[p.a];
      if (operands > 1) p.b = at[p.b];
      if (operands > 2) p.c = at[p.c];
      r.instr.push_back(p);
      at[i] = uint8_t(r.instr.size() - 1);
    }
    r.members.insert(r.members.end(), producer.members.begin(), producer.members.end());
    return at.back();
  }

  void emit() {
    std::vector<bool> gone(g_.nodes.size(), false);
    for (size_t i = 0; i < g_.nodes.size(); ++i)
      for (const size_t member : regions_[i].members)
        if (member != i) gone[member] = true;
    std::vector<GraphNode> out;
    for (size_t i = 0; i < g_.nodes.size(); ++i) {
      if (gone[i]) continue;
      const Region& r = regions_[i];
      if (r.instr.empty()) {
        out.push_back(std::move(g_.nodes[i]));
        continue;
      }
      const TensorType result = type(g_.nodes[i].out[0]);
      Attrs attrs{
          {"program", ProgramPtr(std::make_shared<PointwiseProgram>(PointwiseProgram{r.instr}))},
          {"dims", result.dims},
          {"dtype", result.dtype}};
      out.push_back({&fused_pointwise_op, std::move(attrs), r.inputs, g_.nodes[i].out});
    }
    g_.nodes = std::move(out);
    remove_dead(g_);  // broadcasts and constants that were read in place
  }

  Graph& g_;
  std::vector<int> uses_, defs_;
  std::vector<Region> regions_;  // per node; empty: not pointwise
};

}  // namespace

void fuse_pointwise(Graph& g) {
  PointwiseFusion(g).run();
}

}  // namespace weft
