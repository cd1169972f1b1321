// Who does what and where it lies: a thread's part of a product and its memory (matmul_plan.h).
#pragma once
#include "weft/kernels/cpu/matmul_pack.h"
#include "weft/kernels/matmul_plan.h"

namespace weft::kernels::cpu::WEFT_ISA {

inline int64_t smaller(int64_t x, int64_t y) {
  return x < y ? x : y;
}

inline int64_t larger(int64_t x, int64_t y) {
  return x > y ? x : y;
}

struct Span {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};
inline Span part(Span all, int64_t i, int64_t parts) {
  return {all.begin + all.size() * i / parts, all.begin + all.size() * (i + 1) / parts};
}

// Offset of `panel` at `l` in the packed layout of `panels` panels.
inline int64_t packed_offset(int64_t panels, int64_t k, int64_t panel, int64_t l) {
  const int64_t start = l / matmul_k_run * matmul_k_run;
  return 32 * (start * panels + panel * smaller(matmul_k_run, k - start) + (l - start));
}

// Of all (run of K, panel) pairs for `panels`, the i-th of `parts` shares. Where lanes are
// contiguous the panels of a step are packed side by side: memory is read in its own order.
template <bool is_a, class T>
inline void pack_share(const Source<T>& source, T* to, int64_t all_panels, Span panels, int64_t k,
                       int64_t i, int64_t parts) {
  const int64_t runs = (k + matmul_k_run - 1) / matmul_k_run;
  const Span mine = part({0, runs * panels.size()}, i, parts);
  const int64_t step = source.k_contiguous() ? matmul_k_run : 32;
  for (int64_t run = mine.begin / panels.size(); run * panels.size() < mine.end; ++run) {
    const int64_t start = run * matmul_k_run, end = smaller(start + matmul_k_run, k);
    const int64_t unit = run * panels.size();
    const Span these{larger(mine.begin - unit, 0), smaller(mine.end - unit, panels.size())};
    for (int64_t l = start; l < end; l += step)
      for (int64_t p = panels.begin + these.begin; p < panels.begin + these.end; ++p)
        pack_panel<is_a>(source, p * 32, l, smaller(l + step, end),
                         to + packed_offset(all_panels, k, p, l));
  }
}

// Where a thread finds things in the scratch.
template <class T, class Prepared>
struct Memory {
  T *packed_a, *packed_b;  // used by all threads, or this one's own
  float *sums, *finished;  // this thread's own from here on
  Prepared* prepared;      // A's panel as the block wants it
  T *local_a, *local_b;    // one panel; one per column of blocks

  Memory(const Matmul& p, const MatmulPlan& plan, int thread, int threads) {
    const uintptr_t start = (reinterpret_cast<uintptr_t>(p.scratch) + 63) / 64 * 64;
    std::byte* own = reinterpret_cast<std::byte*>(start) + size_t(thread) * plan.thread_bytes;
    std::byte* packed = reinterpret_cast<std::byte*>(start) + size_t(threads) * plan.thread_bytes;
    if (plan.whole_products) packed += size_t(thread) * (plan.a_bytes + plan.b_bytes);
    sums = reinterpret_cast<float*>(own);
    finished = sums + int64_t(plan.m_block) * plan.n_block * 1024;
    own += plan.sum_bytes;
    const int64_t panel = 32 * smaller(plan.k_padded, matmul_k_run);
    prepared = reinterpret_cast<Prepared*>(own);
    local_a = reinterpret_cast<T*>(own + 2 * sizeof(T) * size_t(panel));
    local_b = local_a + panel;
    own += plan.panel_bytes;
    packed_a = reinterpret_cast<T*>(plan.own_a_bytes ? own : packed);
    own += plan.own_a_bytes, packed += plan.a_bytes;
    packed_b = reinterpret_cast<T*>(plan.own_b_bytes ? own : packed);
  }
};

// A thread's place in the grid: the panels of C it computes.
struct Share {
  Span rows{0, 0}, columns{0, 0};
  int row_part, column_part;

  Share(const MatmulPlan& plan, int thread) {
    const int place = plan.whole_products ? 0 : thread;
    row_part = place / plan.column_parts, column_part = place % plan.column_parts;
    if (row_part >= plan.row_parts) return;  // more threads than the grid has places
    rows = part({0, plan.m_panels}, row_part, plan.row_parts);
    columns = part({0, plan.n_panels}, column_part, plan.column_parts);
  }
  bool idle() const { return rows.size() == 0 || columns.size() == 0; }

  // What is used more than once: of its rows of A this thread packs all, or a share with the others
  // in its row of the grid; of its columns of B likewise.
  template <class T, class Memory>
  void pack(const MatmulPlan& plan, const Source<T>& a, const Source<T>& b, Memory& memory) const {
    if (row_part >= plan.row_parts) return;
    const bool share_a = plan.pack_a == MatmulPlan::shared;
    if (share_a || plan.pack_a == MatmulPlan::own)
      pack_share<true>(a, memory.packed_a, plan.m_panels, rows, plan.k_padded,
                       share_a ? column_part : 0, share_a ? plan.column_parts : 1);
    const bool share_b = plan.pack_b == MatmulPlan::shared;
    if (share_b || plan.pack_b == MatmulPlan::own)
      pack_share<false>(b, memory.packed_b, plan.n_panels, columns, plan.k_padded,
                        share_b ? row_part : 0, share_b ? plan.row_parts : 1);
  }
};

}  // namespace weft::kernels::cpu::WEFT_ISA
