// The grid is put in the order of the output and dimensions are joined where both sides allow; what
// is left is planes of rows x columns: runs that are contiguous on both sides, transposes, or
// anything.
#include "weft/kernels/copy.h"

#include <cstring>

#include "weft/kernels/cpu/copy_dims.h"
#include "weft/kernels/cpu/copy_transpose.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

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
