// The block interpreter: the grid is cut into blocks of up to 512 elements, and the whole program
// runs over one block with every value in the first-level cache, so the cost of interpreting is
// shared by 512 elements.
#include "weft/kernels/pointwise.h"

#include "weft/kernels/cpu/pointwise_block.h"
#include "weft/kernels/cpu/pointwise_eval.h"
#include "weft/kernels/cpu/pointwise_plan.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

// One thread's values.
class Interpreter {
 public:
  explicit Interpreter(const Plan& plan) : plan_(plan), p_(plan.p) {
    for (int i = 0; i < p_.instrs; ++i) {
      value_[i] = home(i);
      if (plan.fixed[i]) fill_fixed(p_.instr[i], home(i));
    }
  }
  void run(const Block& b);

 private:
  float* home(int i) { return storage_ + plan_.slot[i] * block; }
  void fill_fixed(const PointwiseInstr& in, float* out);
  const char* as_value(const void* data, DType t, const int64_t* strides, const Block& b) const;
  const float* load(int i, const Block& b);
  float* target(int i, const Block& b);
  bool exact(const PointwiseInstr& in) const;
  void evaluate(const PointwiseInstr& in, float* out, int n);
  void store(const PointwiseOutput& out, const Block& b);

  const Plan& plan_;
  const Pointwise& p_;
  const float* value_[Pointwise::max_instrs];  // of the current block
  alignas(64) float storage_[Pointwise::max_instrs * block];
};

void Interpreter::fill_fixed(const PointwiseInstr& in, float* out) {
  if (in.op == PointwiseOp::input) {
    load_block(out, p_.input[in.a].data, in.dtype, {1, block}, 0, 0);
  } else {
    const float lane = in.dtype == DType::i32 ? as_lane(int32_t(in.imm)) : float(in.imm);
    for (int i = 0; i < block; ++i) out[i] = lane;
    round_to(in.dtype, out, block);
  }
}

// The block in memory if the lanes of f32 lie there as in a value: one run of whole vectors.
const char* Interpreter::as_value(const void* data, DType t, const int64_t* strides,
                                  const Block& b) const {
  const bool one_run = plan_.stride(strides, 3) == 1 &&
                       (b.shape.rows == 1 || plan_.stride(strides, 2) == b.shape.columns);
  if (t != DType::f32 || !one_run || b.shape.count() % lanes != 0) return nullptr;
  return static_cast<const char*>(data) + b.offset(plan_, strides) * 4;
}

// An input that is also an output is copied: another output may be stored over it first.
const float* Interpreter::load(int i, const Block& b) {
  const PointwiseInput& in = p_.input[p_.instr[i].a];
  const char* there = as_value(in.data, in.dtype, in.strides, b);
  if (there && !plan_.output[i]) return reinterpret_cast<const float*>(there);
  const char* from = static_cast<const char*>(in.data) +
                     b.offset(plan_, in.strides) * int64_t(dtype_size(in.dtype));
  load_block(home(i), from, in.dtype, b.shape, plan_.stride(in.strides, 2),
             plan_.stride(in.strides, 3));
  return home(i);
}

// The last instruction, after which no input is read, may write its result where it is to be
// stored.
float* Interpreter::target(int i, const Block& b) {
  if (i < p_.instrs - 1 || !plan_.output[i]) return home(i);
  int o = 0;
  while (p_.output[o].instr != i) ++o;
  const char* there = as_value(p_.output[o].data, p_.instr[i].dtype, p_.output[o].strides, b);
  return there ? reinterpret_cast<float*>(const_cast<char*>(there)) : home(i);
}

// Whether the result is one of the operands, or 0 or 1, and needs no rounding.
bool Interpreter::exact(const PointwiseInstr& in) const {
  const auto same = [&](uint8_t operand) { return p_.instr[operand].dtype == in.dtype; };
  if (is_comparison(in.op)) return true;
  if (in.op == PointwiseOp::where) return same(in.b) && same(in.c);
  if (in.op == PointwiseOp::min || in.op == PointwiseOp::max) return same(in.a) && same(in.b);
  return in.op == PointwiseOp::abs && same(in.a);
}

// Results in bf16 are rounded on the way, others afterwards.
template <class T>
void evaluate_floats(PointwiseOp op, float* out, const float* a, const float* b, int n) {
  if (pointwise_operands(op) == 1)
    evaluate_unary<T>(op, out, a, n);
  else
    evaluate_binary<T>(op, out, a, b, n);
}

void Interpreter::evaluate(const PointwiseInstr& in, float* out, int n) {
  const float *a = value_[in.a], *b = value_[in.b];
  const DType from = p_.instr[in.a].dtype;
  const bool arithmetic = in.op != PointwiseOp::where && in.op != PointwiseOp::cast;
  if (arithmetic && in.dtype == DType::bf16) return evaluate_floats<bf16>(in.op, out, a, b, n);
  if (in.op == PointwiseOp::where)
    evaluate_where(out, a, b, value_[in.c], n);
  else if (in.op == PointwiseOp::cast)
    evaluate_cast(from, in.dtype, out, a, n);
  else if (from == DType::i32)
    evaluate_wholes(in.op, out, a, b, n);
  else
    evaluate_floats<float>(in.op, out, a, b, n);
  if (!exact(in)) round_to(in.dtype, out, n);
}

void Interpreter::store(const PointwiseOutput& out, const Block& b) {
  const DType t = p_.instr[out.instr].dtype;
  char* to = static_cast<char*>(out.data) + b.offset(plan_, out.strides) * int64_t(dtype_size(t));
  if (to == reinterpret_cast<const char*>(value_[out.instr])) return;
  store_block(to, value_[out.instr], t, b.shape, plan_.stride(out.strides, 2),
              plan_.stride(out.strides, 3));
}

void Interpreter::run(const Block& b) {
  const int n = (b.shape.count() + lanes - 1) / lanes * lanes;
  for (int i = 0; i < p_.instrs; ++i) {
    if (plan_.fixed[i]) continue;
    if (p_.instr[i].op == PointwiseOp::input) {
      value_[i] = load(i, b);
    } else {
      float* to = target(i, b);
      evaluate(p_.instr[i], to, n);
      value_[i] = to;
    }
  }
  for (int o = 0; o < p_.outputs; ++o) store(p_.output[o], b);
}

}  // namespace

void pointwise(CpuStream& stream, const Pointwise& p) {
  const Plan plan(p);
  stream.parallel_for(plan.blocks, 1, [&](int64_t begin, int64_t end) {
    Interpreter interpreter(plan);
    for (int64_t i = begin; i < end; ++i) interpreter.run(Block(plan, i));
  });
}

}  // namespace weft::kernels::cpu::WEFT_ISA
