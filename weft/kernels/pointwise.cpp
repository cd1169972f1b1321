#include "weft/kernels/pointwise.h"

namespace weft::kernels {
namespace {

bool held_as_float(DType t) {
  return is_float(t) || t == DType::boolean;
}

bool on_integers(PointwiseOp op) {
  using enum PointwiseOp;
  return op == neg || op == abs || op == add || op == sub || op == mul || op == div || op == min ||
         op == max || op == where || op == input || op == constant;
}

bool instr_fast(const Pointwise& p, const PointwiseInstr& in) {
  if (in.dtype == DType::f64 || in.dtype == DType::i64 || in.dtype == DType::u8) return false;
  const bool kind = held_as_float(in.dtype);
  const auto kind_of = [&](uint8_t operand) { return held_as_float(p.instr[operand].dtype); };
  if (in.op == PointwiseOp::cast) return true;
  if (in.op == PointwiseOp::where)
    return kind_of(in.a) && kind_of(in.b) == kind && kind_of(in.c) == kind;
  if (is_comparison(in.op)) return in.dtype == DType::boolean && kind_of(in.a) == kind_of(in.b);
  const int operands = pointwise_operands(in.op);
  if (operands >= 1 && kind_of(in.a) != kind) return false;
  if (operands >= 2 && kind_of(in.b) != kind) return false;
  if (in.dtype == DType::boolean && in.op == PointwiseOp::div) return false;
  return is_float(in.dtype) || on_integers(in.op);
}

}  // namespace

bool pointwise_fast(const Pointwise& p) {
  for (int i = 0; i < p.instrs; ++i)
    if (!instr_fast(p, p.instr[i])) return false;
  return true;
}

void pointwise(CpuStream& stream, const Pointwise& p) {
  if (pointwise_fast(p))
    cpu::pointwise(stream, p);
  else
    ref::pointwise(p);
}

}  // namespace weft::kernels
