#include "weft/kernels/gather.h"

#include "weft/kernels/cpu/simd.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

int64_t index_at(const void* indices, DType t, int64_t i) {
  return t == DType::i32 ? static_cast<const int32_t*>(indices)[i]
                         : static_cast<const int64_t*>(indices)[i];
}

// Keeps the smallest position over all threads.
void report(int64_t* bad, int64_t i) {
  int64_t seen = __atomic_load_n(bad, __ATOMIC_RELAXED);
  while ((seen < 0 || i < seen) &&
         !__atomic_compare_exchange_n(bad, &seen, i, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

template <class T>
void add_run(float* to, const T* from, int64_t n) {
  int64_t c = 0;
  for (; c + lanes <= n; c += lanes) (F32x16::load(to + c) + F32x16::load(from + c)).store(to + c);
  const int rest = int(n - c);
  if (rest) (F32x16::load(to + c, rest) + F32x16::load(from + c, rest)).store(to + c, rest);
}
void add_run(double* to, const double* from, int64_t n) {
  for (int64_t c = 0; c < n; ++c) to[c] += from[c];
}

// Every thread walks all indices in order and owns a range of columns: no sorting, no scratch, and
// the order of a sum is that of the indices.
template <class T, class Out>
void scatter_add(CpuStream& stream, const ScatterAddRows& p) {
  stream.parallel_for(p.width, 64 / int64_t(sizeof(Out)), [&](int64_t begin, int64_t end) {
    const int64_t width = end - begin;
    Out* out = static_cast<Out*>(p.out) + begin;
    const T* grad = static_cast<const T*>(p.grad) + begin;
    for (int64_t row = 0; row < p.rows && !p.onto; ++row)
      std::memset(out + row * p.width, 0, size_t(width) * sizeof(Out));
    for (int64_t i = 0; i < p.n; ++i) {
      const int64_t row = index_at(p.indices, p.index_dtype, i);
      if (row >= 0 && row < p.rows) add_run(out + row * p.width, grad + i * p.width, width);
    }
  });
}

constexpr int64_t rows_at_once = 4;  // the least a thread is given

}  // namespace

void gather_rows(CpuStream& stream, const GatherRows& p) {
  const size_t bytes = size_t(p.width * p.element_bytes);
  stream.parallel_for(p.n, rows_at_once, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = index_at(p.indices, p.index_dtype, i);
      char* to = static_cast<char*>(p.out) + size_t(i) * bytes;
      if (row >= 0 && row < p.rows) {
        std::memcpy(to, static_cast<const char*>(p.table) + size_t(row) * bytes, bytes);
      } else {
        std::memset(to, 0, bytes);
        report(p.bad, i);
      }
    }
  });
}

void scatter_rows(CpuStream& stream, const ScatterRows& p) {
  const size_t bytes = size_t(p.width * p.element_bytes);
  stream.parallel_for(p.n, rows_at_once, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = index_at(p.indices, p.index_dtype, i);
      if (row >= p.rows) report(p.bad, i);
      if (row < 0 || row >= p.rows) continue;
      std::memcpy(static_cast<char*>(p.out) + size_t(row) * bytes,
                  static_cast<const char*>(p.values) + size_t(i) * bytes, bytes);
    }
  });
}

void scatter_add_rows(CpuStream& stream, const ScatterAddRows& p) {
  switch (p.grad_dtype) {
    case DType::f64:
      return scatter_add<double, double>(stream, p);
    case DType::bf16:
      return scatter_add<bf16, float>(stream, p);
    case DType::f16:
      return scatter_add<f16, float>(stream, p);
    default:
      return scatter_add<float, float>(stream, p);
  }
}

}  // namespace weft::kernels::cpu::WEFT_ISA
