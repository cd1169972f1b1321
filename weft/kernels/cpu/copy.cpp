// The grid is put in the order of the output and dimensions are joined where both sides allow; what
// is left is planes of rows x columns: runs that are contiguous on both sides, transposes, or
// anything.
#include "weft/kernels/copy.h"

#include <cstring>

#include "weft/kernels/cpu/copy_transpose.h"

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

// A part of a plane. T is an unsigned integer of the element's size.
template <class T>
void copy_plane(const T* in, T* out, Dim row, Dim column) {
  if (is_transpose(row, column))
    return transpose(in, out, row.size, column.size, column.in, row.out);
  for (int64_t r = 0; r < row.size; ++r, in += row.in, out += row.out) {
    if (column.in == 1 && column.out == 1)
      std::memcpy(out, in, size_t(column.size) * sizeof(T));
    else
      for (int64_t c = 0; c < column.size; ++c) out[c * column.out] = in[c * column.in];
  }
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

template <class T>
void copy_unit(const StridedCopy& p, const Dims& dims, const Units& units, int64_t index) {
  Dim row = dims.at[dims.count - 2], column = dims.at[dims.count - 1];
  const int64_t c = index % units.column_units * units.columns;
  const int64_t r = index / units.column_units % units.row_units * units.rows;
  int64_t from = r * row.in + c * column.in, to = r * row.out + c * column.out;
  int64_t rest = index / units.column_units / units.row_units;
  for (int d = dims.count - 3; d >= 0; --d) {
    const int64_t i = rest % dims.at[d].size;
    rest /= dims.at[d].size;
    from += i * dims.at[d].in, to += i * dims.at[d].out;
  }
  row.size = row.size - r < units.rows ? row.size - r : units.rows;
  column.size = column.size - c < units.columns ? column.size - c : units.columns;
  copy_plane(static_cast<const T*>(p.in) + from, static_cast<T*>(p.out) + to, row, column);
}

template <class T>
void copy(CpuStream& stream, const StridedCopy& p) {
  const Dims dims(p);
  if (dims.empty) return;
  const Units units(dims, sizeof(T));
  stream.parallel_for(units.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) copy_unit<T>(p, dims, units, u);
  });
}

template <class T>
void fill_with(CpuStream& stream, const Fill& p) {
  stream.parallel_for(p.n, 4096, [&](int64_t begin, int64_t end) {
    T* out = static_cast<T*>(p.out);
    const T value = T(p.bits);
    for (int64_t i = begin; i < end; ++i) out[i] = value;
  });
}

}  // namespace

void strided_copy(CpuStream& stream, const StridedCopy& p) {
  switch (p.element_bytes) {
    case 1:
      return copy<uint8_t>(stream, p);
    case 2:
      return copy<uint16_t>(stream, p);
    case 4:
      return copy<uint32_t>(stream, p);
    default:
      return copy<uint64_t>(stream, p);
  }
}

void fill(CpuStream& stream, const Fill& p) {
  switch (p.element_bytes) {
    case 1:
      return fill_with<uint8_t>(stream, p);
    case 2:
      return fill_with<uint16_t>(stream, p);
    case 4:
      return fill_with<uint32_t>(stream, p);
    default:
      return fill_with<uint64_t>(stream, p);
  }
}

}  // namespace weft::kernels::cpu::WEFT_ISA
