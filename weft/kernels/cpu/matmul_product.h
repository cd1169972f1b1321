// What one thread does for one product: packing, blocking over the caches, the epilogue. `Kind` is
// how a block is multiplied (matmul_block.h).
#pragma once
#include <type_traits>

#include "weft/kernels/cpu/matmul_epilogue.h"
#include "weft/kernels/cpu/matmul_share.h"
#include "weft/kernels/cpu/matmul_tiles.h"

namespace weft::kernels::cpu::WEFT_ISA {

template <class Kind, class Out>
class Product {
  using T = typename Kind::Element;
  using Prepared = typename Kind::Prepared;

 public:
  Product(const Matmul& p, const MatmulPlan& plan, int64_t batch, int thread, int threads)
      : p_(p),
        plan_(plan),
        epilogue_{p, batch},
        share_(plan, thread),
        memory_(p, plan, thread, threads),
        a_(source_a<T>(p, batch)),
        b_(source_b<T>(p, batch)) {
    if (plan.pack_b == MatmulPlan::before) memory_.packed_b = const_cast<T*>(b_.data);
    plain_ = epilogue_.is_plain();
  }

  void pack() { share_.pack(plan_, a_, b_, memory_); }

  void multiply() {
    if (share_.idle()) return;
    const Span rows = share_.rows, columns = share_.columns;
    Kind::begin(int(plan_.m_panels == 1 ? p_.m : 32));
    for (int64_t m = rows.begin; m < rows.end; m += plan_.m_block)
      for (int64_t n = columns.begin; n < columns.end; n += plan_.n_block)
        multiply_part({m, smaller(m + plan_.m_block, rows.end)},
                      {n, smaller(n + plan_.n_block, columns.end)});
    flush();
    flush();
    Kind::end();
  }

 private:
  // What a row of blocks asks for ahead, into L2: most blocks the next panel of A, the others some
  // of the next run of B.
  struct Ahead {
    const char *a = nullptr, *b = nullptr;
    int64_t bytes;  // for a block

    Ahead(Product& p, Span rows, Span columns, int64_t m, int64_t l, int64_t end)
        : bytes(bytes_ahead<T>(end - l)) {
      const bool last_row = m + 1 == rows.end, more = end < p.plan_.k_padded;
      if (p.plan_.pack_a == MatmulPlan::shared && (!last_row || more))
        a = address(last_row ? p.panel_a(rows.begin, end, end) : p.panel_a(m + 1, l, end));
      if (p.plan_.pack_b != MatmulPlan::local && more)
        b = address(p.panel_b(rows, columns, m, columns.begin, end, end)) +
            (m - rows.begin) * (columns.size() - blocks_for_a) * bytes;
    }
    static const char* address(const T* p) { return reinterpret_cast<const char*>(p); }
    const char* at(int64_t block, const char* otherwise) const {
      if (block < blocks_for_a) return a ? a + block * bytes : otherwise;
      return b ? b + (block - blocks_for_a) * bytes : otherwise;
    }
    static constexpr int64_t blocks_for_a = 6;  // of 3/16 of a panel: all of it
  };

  struct Finished {
    const float* sums = nullptr;
    Place place;
  };

  Place place(int64_t m, int64_t n) const {
    return {m * 32, n * 32, int(smaller(32, p_.m - m * 32)), int(smaller(32, p_.n - n * 32))};
  }

  // Blocks of rows x columns: their sums stay with this thread while it goes through K.
  void multiply_part(Span rows, Span columns) {
    for (int64_t l = 0, end; l < plan_.k_padded; l = end) {
      end = smaller(l + plan_.k_block, plan_.k_padded);
      for (int64_t m = rows.begin; m < rows.end; ++m) {
        const T* packed = panel_a(m, l, end);
        Block<Prepared, T> x;
        x.k = end - l, x.rows = place(m, 0).rows;
        x.a = Kind::prepare(packed, x.k, x.rows, memory_.prepared);
        const Ahead ahead(*this, rows, columns, m, l, end);
        for (int64_t n = columns.begin; n < columns.end; ++n) {
          x.ahead = ahead.at(n - columns.begin, reinterpret_cast<const char*>(x.a));
          x.b = panel_b(rows, columns, m, n, l, end);
          if (plan_.m_panels == 1) x.b_ahead = fetch_b(x.b, columns, n, end);
          const int64_t index = (m - rows.begin) * columns.size() + (n - columns.begin);
          multiply_block(x, place(m, n), memory_.sums + index * 1024, l == 0,
                         end == plan_.k_padded);
        }
      }
    }
  }

  // Sums wait in `sums` from one run of K to the next. The first run may start from C, the last
  // leaves them in C itself or for the epilogue.
  void multiply_block(Block<Prepared, T>& x, const Place& where, float* sums, bool first,
                      bool last) {
    const bool whole = where.whole();
    x.in = sums, x.out = sums, x.in_stride = x.out_stride = block_stride;
    if (first) x.in = nullptr;
    if constexpr (sizeof(Out) == 4) {
      float* c = epilogue_.c(where.row, where.column);
      if (first && p_.accumulate) {
        x.in = sums;
        if (whole)
          x.in = c, x.in_stride = p_.c_row_stride;
        else
          epilogue_.load_block(sums, where);
      }
      if (last && whole && plain_) {
        x.out = c, x.out_stride = p_.c_row_stride;
        last = false;
      }
    }
    if (last) x.out = memory_.finished + turn_ * 1024;
    run_block(x);
    if (!last) return;
    queue_[1] = {x.out, where};
    turn_ = (turn_ + 1) % matmul_finished_blocks;
  }

  // Before or beside a block the one finished two blocks ago is stored: by now its sums have
  // reached the cache.
  void run_block(const Block<Prepared, T>& x) {
#if defined(__AMX_TILE__)
    if constexpr (std::is_same_v<Kind, Bf16Tiles> && std::is_same_v<Out, bf16>) {
      const Finished old = queue_[0];
      if (old.sums && old.place.whole() && x.rows > 16 && !x.b_ahead.from && plain_) {
        shift_queue();
        Kind::block(x, {old.sums, epilogue_.c(old.place.row, old.place.column), p_.c_row_stride});
        return;
      }
    }
#endif
    flush();
    Kind::block(x);
  }

  void flush() {
    if (queue_[0].sums) epilogue_.store_block(queue_[0].sums, queue_[0].place);
    shift_queue();
  }
  void shift_queue() {
    queue_[0] = queue_[1];
    queue_[1].sums = nullptr;
  }

  const T* panel_a(int64_t m, int64_t l, int64_t end) {
    if (plan_.pack_a == MatmulPlan::shared)
      return memory_.packed_a + packed_offset(plan_.m_panels, plan_.k_padded, m, l);
    pack_panel<true>(a_, m * 32, l, end, memory_.local_a);
    return memory_.local_a;
  }

  // A local panel is packed when the first row of blocks comes by.
  const T* panel_b(Span rows, Span columns, int64_t m, int64_t n, int64_t l, int64_t end) {
    if (plan_.pack_b != MatmulPlan::local)
      return memory_.packed_b + packed_offset(plan_.n_panels, plan_.k_padded, n, l);
    const int64_t slot = rows.size() > 1 ? n - columns.begin : 0;
    T* to = memory_.local_b + slot * 32 * smaller(matmul_k_run, plan_.k_padded);
    if (m == rows.begin) pack_panel<false>(b_, n * 32, l, end, to);
    return to;
  }

  // B is read once: what to ask for while the block of panel n up to `end` is multiplied.
  Fetch fetch_b(const T* b, Span columns, int64_t n, int64_t end) const {
    if (plan_.pack_b == MatmulPlan::before)
      return {reinterpret_cast<const char*>(b) + Kind::fetch_distance};
    const bool more = end < plan_.k_padded, rows = b_.k_contiguous();
    if (plan_.pack_b != MatmulPlan::local || (!rows && sizeof(T) == 4)) return {};
    if (!more && n + 1 == columns.end) return {};
    const T* next = more ? b_.at(n * 32, end) : b_.at((n + 1) * 32, 0);
    const int64_t size = sizeof(T);
    if (rows) return {reinterpret_cast<const char*>(next), b_.lane_stride * size, 64};
    return {reinterpret_cast<const char*>(next), b_.k_stride * size, 32 * b_.k_stride * size};
  }

  const Matmul& p_;
  const MatmulPlan& plan_;
  Epilogue<T, Out> epilogue_;
  Share share_;
  Memory<T, Prepared> memory_;
  Source<T> a_, b_;
  bool plain_;
  int turn_ = 0;
  Finished queue_[2];  // [0] is the older
};

}  // namespace weft::kernels::cpu::WEFT_ISA
