// Fused elementwise work: a small program that is run for every element of a grid of up to four
// dimensions. Instruction i defines value i; the result of every instruction is rounded to its
// dtype, so that a fused program gives the bits of its instructions run one by one.
#pragma once
#include <cstdint>

#include "weft/kernels/kernel.h"

namespace weft::kernels {

enum class PointwiseOp : uint8_t {
  input,     // a: the input slot; dtype is that of the input
  constant,  // imm
  // One operand.
  cast,  // to a float: rounded, integers by way of f32; to an integer: towards zero, saturated, NaN
         // is 0; between integers: wrapped; to boolean: whether it is not 0
  neg,
  abs,
  exp,
  log,
  sqrt,
  rsqrt,
  tanh,
  sigmoid,
  erf,
  sin,
  cos,
  gelu_tanh,
  gelu_tanh_grad,  // d gelu_tanh(a) / da
  silu,            // a sigmoid(a)
  silu_grad,       // d silu(a) / da
  // Two operands. Integers wrap; their division truncates, and by zero gives 0.
  add,
  sub,
  mul,
  div,
  pow,
  min,  // NaN if either is
  max,
  less,  // 0 or 1
  less_equal,
  equal,
  not_equal,
  // Three.
  where,  // a is not 0 ? b : c
};

constexpr int pointwise_operands(PointwiseOp op) {
  if (op <= PointwiseOp::constant) return 0;
  return op < PointwiseOp::add ? 1 : op < PointwiseOp::where ? 2 : 3;
}
constexpr bool is_comparison(PointwiseOp op) {
  return op >= PointwiseOp::less && op <= PointwiseOp::not_equal;
}

// a, b, c are indices of earlier instructions. The operands of arithmetic have the dtype of the
// result or another of its kind (float, integer); those of a comparison agree with each other.
// There is no promotion.
struct PointwiseInstr {
  PointwiseOp op = PointwiseOp::constant;
  DType dtype = DType::f32;  // of the result
  uint8_t a = 0, b = 0, c = 0;
  double imm = 0;
};

constexpr int pointwise_rank = 4;

struct PointwiseInput {
  const void* data;
  DType dtype;
  int64_t strides[pointwise_rank];  // in elements; 0 repeats the input along a dimension
};

// Of instruction `instr` and its dtype. May be the memory of an input of the same dtype and
// strides; outputs do not overlap otherwise.
struct PointwiseOutput {
  void* data;
  int64_t strides[pointwise_rank];  // in elements
  uint8_t instr;
};

// The caller has joined dimensions where it could; the last should be the long one with strides of
// 0 or 1.
struct Pointwise {
  static constexpr int max_inputs = 12, max_outputs = 6, max_instrs = 48;
  int rank = 0;
  int64_t sizes[pointwise_rank] = {};
  int inputs = 0, outputs = 0, instrs = 0;  // how many of the following are used
  PointwiseInput input[max_inputs];
  PointwiseOutput output[max_outputs];
  PointwiseInstr instr[max_instrs];
};

// Whether cpu::pointwise runs the program: every dtype is f32, bf16, f16, boolean or i32; i32 and
// boolean go only through input, constant, cast, comparisons, where, neg, abs, add, sub, mul, min,
// max, and i32 through div.
bool pointwise_fast(const Pointwise&);

// The same program on both paths agrees to the accuracy of cpu/vmath.h where it calls exp and the
// like, and bit for bit elsewhere. A fusion pass keeps what is fast apart from what is not, so that
// fusing does not move a float function from one to the other.
void pointwise(CpuStream&, const Pointwise&);

namespace ref {
// Every dtype, one element at a time: f64 in double, other floats in double rounded to f32 (results
// below its normal range to zero) and then to the dtype, integers in int64.
void pointwise(const Pointwise&);
}  // namespace ref

WEFT_CPU_KERNEL(pointwise, Pointwise)

}  // namespace weft::kernels
