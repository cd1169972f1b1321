// Where the packed panels of A and B come from, and what to ask for while one is multiplied.
#pragma once
#include "weft/kernels/cpu/matmul_block.h"
#include "weft/kernels/cpu/matmul_share.h"

namespace weft::kernels::cpu::WEFT_ISA {

template <class T>
inline const char* address(const T* p) {
  return reinterpret_cast<const char*>(p);
}

// Panels of one product as one thread sees them. Spans are of the panels this thread is at.
template <class T, class Prepared>
struct Panels {
  const MatmulPlan& plan;
  const Memory<T, Prepared>& memory;
  Source<T> source_a, source_b;

  Panels(const Matmul& p, const MatmulPlan& the_plan, int64_t batch,
         const Memory<T, Prepared>& the_memory)
      : plan(the_plan), memory(the_memory) {
    const T* a = static_cast<const T*>(p.a.data) + batch * p.a.batch_stride;
    const T* b = static_cast<const T*>(p.b.data) + batch * p.b.batch_stride;
    source_a = {a, p.a.row_stride, p.a.col_stride, p.m, p.k};
    source_b = {b, p.b.col_stride, p.b.row_stride, p.n, p.k};
  }

  // Panel m for k from l to end.
  PanelOfA<T> a(int64_t m, int64_t l, int64_t end) const {
    if (in_place(m)) return {source_a.at(m * 32, l), source_a.lane_stride, 32};
    if (plan.pack_a == MatmulPlan::own || plan.pack_a == MatmulPlan::shared)
      return {memory.packed_a + packed_offset(plan.m_panels, plan.k_padded, m, l)};
    pack_panel<true>(source_a, m * 32, l, end, memory.local_a);
    return {memory.local_a};
  }
  bool in_place(int64_t m) const {
    return plan.pack_a == MatmulPlan::in_place && (m + 1) * 32 <= source_a.lanes;
  }
  // Whether panel m lies ready, a run of K of it in one piece.
  bool contiguous(int64_t m) const {
    if (plan.pack_a == MatmulPlan::own || plan.pack_a == MatmulPlan::shared) return true;
    return in_place(m) && source_a.lane_stride == plan.k_padded && plan.k_padded <= matmul_k_run;
  }

  // Panel n likewise. A local panel is packed when the first row of blocks comes by.
  const T* b(Span rows, Span columns, int64_t m, int64_t n, int64_t l, int64_t end) const {
    if (plan.pack_b != MatmulPlan::local) {
      const T* packed = plan.pack_b == MatmulPlan::before ? source_b.data : memory.packed_b;
      return packed + packed_offset(plan.n_panels, plan.k_padded, n, l);
    }
    const int64_t slot = rows.size() > 1 ? n - columns.begin : 0;
    T* to = memory.local_b + slot * 32 * smaller(matmul_k_run, plan.k_padded);
    if (m == rows.begin) pack_panel<false>(source_b, n * 32, l, end, to);
    return to;
  }

  // For B that is read once: what to ask for while `panel`, panel n up to `end`, is multiplied.
  Fetch b_ahead(const T* panel, Span columns, int64_t n, int64_t end, int64_t distance) const {
    if (plan.pack_b == MatmulPlan::before) return {address(panel) + distance, 64, 2048, true};
    const Source<T>& s = source_b;
    const bool more = end < plan.k_padded, rows = s.k_contiguous();
    if (plan.pack_b != MatmulPlan::local || (!rows && sizeof(T) == 4)) return {};
    if (!more && n + 1 == columns.end) return {};
    const char* next = address(more ? s.at(n * 32, end) : s.at((n + 1) * 32, 0));
    const int64_t size = sizeof(T);
    if (rows) return {next, s.lane_stride * size, 64};
    return {next, s.k_stride * size, 32 * s.k_stride * size};
  }
};

// What a row of blocks asks for ahead, into L2: most blocks the next panel of A, the others some of
// the next run of B.
template <class T>
struct Ahead {
  static constexpr int64_t blocks_for_a = 6;  // of 3/16 of a panel: all of it
  const char *a = nullptr, *b = nullptr;
  int64_t bytes;  // for a block

  template <class Panels>
  Ahead(const Panels& panels, Span rows, Span columns, int64_t m, int64_t l, int64_t end)
      : bytes(bytes_ahead<T>(end - l)) {
    const MatmulPlan& plan = panels.plan;
    const bool last_row = m + 1 == rows.end, more = end < plan.k_padded;
    if ((!last_row || more) && panels.contiguous(last_row ? rows.begin : m + 1))
      a = address((last_row ? panels.a(rows.begin, end, end) : panels.a(m + 1, l, end)).data);
    if (plan.pack_b != MatmulPlan::local && more)
      b = address(panels.b(rows, columns, m, columns.begin, end, end)) +
          (m - rows.begin) * (columns.size() - blocks_for_a) * bytes;
  }
  const char* at(int64_t block, const char* otherwise) const {
    if (block < blocks_for_a) return a ? a + block * bytes : otherwise;
    return b ? b + (block - blocks_for_a) * bytes : otherwise;
  }
};

}  // namespace weft::kernels::cpu::WEFT_ISA
