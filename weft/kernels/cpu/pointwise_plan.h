// What a pointwise program needs to know before its first block, and where a block lies in the
// grid.
#pragma once
#include "weft/kernels/cpu/pointwise_block.h"
#include "weft/kernels/pointwise.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

constexpr int block = 512;  // elements

// What is known about a program before the first block.
struct Plan {
  const Pointwise& p;
  int64_t sizes[pointwise_rank];  // sizes of 1 in front
  BlockShape shape;               // of a whole block: rows of dimension 2, columns of dimension 3
  int64_t row_blocks, column_blocks, blocks;
  int slots = 0;                        // blocks of storage in use at once
  uint8_t slot[Pointwise::max_instrs];  // where value i lies
  bool fixed[Pointwise::max_instrs];    // the same in every block

  bool output[Pointwise::max_instrs] = {};  // whether it is stored

  explicit Plan(const Pointwise& program);
  int64_t stride(const int64_t* strides, int d) const {
    return d < pointwise_rank - p.rank ? 0 : strides[d - (pointwise_rank - p.rank)];
  }
  bool is_scalar(const PointwiseInput& in) const {
    for (int d = 0; d < p.rank; ++d)
      if (in.strides[d] != 0 && p.sizes[d] != 1) return false;
    return true;
  }
  void assign_slots();
};

Plan::Plan(const Pointwise& program) : p(program) {
  for (int d = 0; d < pointwise_rank; ++d) {
    const int from = d - (pointwise_rank - p.rank);
    sizes[d] = from < 0 ? 1 : p.sizes[from];
  }
  shape.columns = int(sizes[3] < block ? sizes[3] : block);
  const int64_t rows = shape.columns > 0 && sizes[3] <= block ? block / shape.columns : 1;
  shape.rows = int(rows < sizes[2] ? rows : sizes[2]);
  blocks = 0;
  if (shape.count() > 0) {
    row_blocks = (sizes[2] + shape.rows - 1) / shape.rows;
    column_blocks = (sizes[3] + shape.columns - 1) / shape.columns;
    blocks = sizes[0] * sizes[1] * row_blocks * column_blocks;
  }
  assign_slots();
}

// A slot is free again after the last instruction that reads it; outputs and fixed values keep
// theirs.
void Plan::assign_slots() {
  int last_use[Pointwise::max_instrs];
  for (int i = 0; i < p.instrs; ++i) {
    const PointwiseInstr& in = p.instr[i];
    const uint8_t operand[3] = {in.a, in.b, in.c};
    for (int k = 0; k < pointwise_operands(in.op); ++k) last_use[operand[k]] = i;
    fixed[i] =
        in.op == PointwiseOp::constant || (in.op == PointwiseOp::input && is_scalar(p.input[in.a]));
    last_use[i] = i;
  }
  for (int o = 0; o < p.outputs; ++o) {
    output[p.output[o].instr] = true;
    last_use[p.output[o].instr] = p.instrs;
  }
  uint8_t free[Pointwise::max_instrs];
  int frees = 0;
  const auto release = [&](int value, int now) {
    if (last_use[value] != now || fixed[value]) return;
    free[frees++] = slot[value];
    last_use[value] = -1;  // once
  };
  for (int i = 0; i < p.instrs; ++i) {
    const PointwiseInstr& in = p.instr[i];
    const uint8_t operand[3] = {in.a, in.b, in.c};
    for (int k = 0; k < pointwise_operands(in.op); ++k) release(operand[k], i);
    slot[i] = frees > 0 && !fixed[i] ? free[--frees] : uint8_t(slots++);
    release(i, i);
  }
}

// Where a block starts in the grid, and its shape: smaller at the ends of dimensions 2 and 3.
struct Block {
  int64_t at[pointwise_rank];
  BlockShape shape;

  Block(const Plan& plan, int64_t index) {
    at[3] = index % plan.column_blocks * plan.shape.columns, index /= plan.column_blocks;
    at[2] = index % plan.row_blocks * plan.shape.rows, index /= plan.row_blocks;
    at[1] = index % plan.sizes[1], at[0] = index / plan.sizes[1];
    const int64_t rows = plan.sizes[2] - at[2], columns = plan.sizes[3] - at[3];
    shape.rows = int(rows < plan.shape.rows ? rows : plan.shape.rows);
    shape.columns = int(columns < plan.shape.columns ? columns : plan.shape.columns);
  }
  int64_t offset(const Plan& plan, const int64_t* strides) const {
    int64_t result = 0;
    for (int d = 0; d < pointwise_rank; ++d) result += at[d] * plan.stride(strides, d);
    return result;
  }
};

}  // namespace
}  // namespace weft::kernels::cpu::WEFT_ISA
