// Rows picked by index, and rows put or added where an index says: embeddings, caches, routed
// tokens.
#pragma once
#include <cstdint>

#include "weft/kernels/kernel.h"

namespace weft::kernels {

// out[i] = table[indices[i]]. Where an index is outside [0, rows), the row of out becomes zero and
// *bad the smallest such i if that is less than *bad or *bad is negative: the caller starts it at
// -1 and raises one clear error.
struct GatherRows {
  const void* table;    // [rows, width]
  const void* indices;  // [n], i32 or i64
  DType index_dtype;
  int64_t rows, width, n;
  int element_bytes;
  void* out;  // [n, width]
  int64_t* bad;
};

// out[indices[i]] = values[i]. Negative indices are skipped; others are distinct, and outside [0,
// rows) they are skipped and reported as above. The rest of out stays.
struct ScatterRows {
  const void* values;   // [n, width]
  const void* indices;  // [n], i32 or i64
  DType index_dtype;
  int64_t rows, width, n;
  int element_bytes;
  void* out;  // [rows, width]
  int64_t* bad;
};

// out = 0 unless `onto`; out[indices[i]] += grad[i] for ascending i, whatever the threads. Indices outside [0,
// rows) are skipped.
struct ScatterAddRows {
  const void* grad;  // [n, width], f32, bf16, f16 or f64
  DType grad_dtype;
  const void* indices;  // [n], i32 or i64
  DType index_dtype;
  int64_t rows, width, n;
  void* out;  // [rows, width], f32, or f64 when grad is
  bool onto = false;  // add to what out holds
};

namespace ref {
void gather_rows(const GatherRows&);
void scatter_rows(const ScatterRows&);
// Sums in double.
void scatter_add_rows(const ScatterAddRows&);
}  // namespace ref

WEFT_CPU_KERNEL(gather_rows, GatherRows)
WEFT_CPU_KERNEL(scatter_rows, ScatterRows)
WEFT_CPU_KERNEL(scatter_add_rows, ScatterAddRows)

}  // namespace weft::kernels
