// The dimensions of a copy in the order of the output, joined where both sides allow, and how they
// are cut into work.
#pragma once
#include "weft/kernels/copy.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

struct Dim {
  int64_t size, in, out;  // strides in elements
};

struct Dims {
  int count = 0;
  Dim at[9];
  bool empty = false;

  explicit Dims(const StridedCopy& p);
  void sort();
  void join();
  void bring_input_run_next_to_last();
};

int64_t magnitude(int64_t x) {
  return x < 0 ? -x : x;
}

Dims::Dims(const StridedCopy& p) {
  for (int d = 0; d < p.rank; ++d) {
    empty = empty || p.sizes[d] == 0;
    if (p.sizes[d] != 1) at[count++] = {p.sizes[d], p.in_strides[d], p.out_strides[d]};
  }
  sort();
  join();
  bring_input_run_next_to_last();
  while (count < 2) {  // a plane has two dimensions
    for (int d = count; d > 0; --d) at[d] = at[d - 1];
    at[0] = {1, 0, 0}, ++count;
  }
}

// By the stride of the output, falling.
void Dims::sort() {
  for (int i = 1; i < count; ++i)
    for (int j = i; j > 0 && magnitude(at[j - 1].out) < magnitude(at[j].out); --j) {
      const Dim t = at[j];
      at[j] = at[j - 1], at[j - 1] = t;
    }
}

void Dims::join() {
  int kept = 0;
  for (int d = 0; d < count; ++d) {
    if (kept > 0 && at[kept - 1].in == at[d].size * at[d].in &&
        at[kept - 1].out == at[d].size * at[d].out)
      at[kept - 1] = {at[kept - 1].size * at[d].size, at[d].in, at[d].out};
    else
      at[kept++] = at[d];
  }
  count = kept;
}

void Dims::bring_input_run_next_to_last() {
  if (count < 2 || at[count - 1].in == 1) return;
  for (int d = 0; d < count - 2; ++d)
    if (at[d].in == 1) {
      const Dim run = at[d];
      for (int k = d; k < count - 2; ++k) at[k] = at[k + 1];
      at[count - 2] = run;
      return;
    }
}

bool is_transpose(Dim row, Dim column) {
  return row.in == 1 && column.out == 1 && column.in != 1;
}

// How the planes are cut into units of work: 64 x 128 of a transpose, otherwise whole rows or parts
// of one, 64 KiB.
struct Units {
  int64_t rows, columns;  // of one unit
  int64_t row_units, column_units, count;

  Units(const Dims& dims, int64_t element_bytes) {
    const Dim row = dims.at[dims.count - 2], column = dims.at[dims.count - 1];
    const bool turn = is_transpose(row, column);
    const int64_t budget = (64 << 10) / element_bytes, most_columns = turn ? 128 : budget;
    columns = column.size < most_columns ? column.size : most_columns;
    const int64_t most_rows = turn ? 64 : budget / columns;
    rows = row.size < most_rows ? row.size : most_rows;
    row_units = (row.size + rows - 1) / rows, column_units = (column.size + columns - 1) / columns;
    count = row_units * column_units;
    for (int d = 0; d < dims.count - 2; ++d) count *= dims.at[d].size;
  }
};

}  // namespace
}  // namespace weft::kernels::cpu::WEFT_ISA
