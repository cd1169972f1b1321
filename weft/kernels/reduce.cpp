#include "weft/kernels/reduce.h"

namespace weft::kernels {
namespace {

bool is_short_float(DType t) {
  return is_float(t) && t != DType::f64;
}

}  // namespace

bool reduce_fast(const Reduce& p) {
  const bool index = p.out_dtype == DType::i32 || p.out_dtype == DType::i64;
  return is_short_float(p.in_dtype) &&
         (p.op == ReduceOp::argmax ? index : is_short_float(p.out_dtype));
}

// For a sum of long rows, the sixteen partials of every block; for columns, each block's chain.
int64_t reduce_scratch_bytes(const Reduce& p) {
  if (!reduce_fast(p) || p.op == ReduceOp::argmax) return 0;
  const int64_t block = p.inner == 1 ? reduce_row_block : reduce_column_block;
  const int64_t blocks = (p.reduce + block - 1) / block;
  if (p.inner != 1) return p.outer * blocks * p.inner * 4;
  return p.op == ReduceOp::sum && blocks > 1 ? p.outer * blocks * 64 : 0;
}

void reduce(CpuStream& stream, const Reduce& p) {
  if (reduce_fast(p))
    cpu::reduce(stream, p);
  else
    ref::reduce(p);
}

}  // namespace weft::kernels
