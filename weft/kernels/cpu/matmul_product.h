// What one thread does for one product: packing, blocking over the caches, the epilogue. `Kind` is
// how a block is multiplied (matmul_block.h).
#pragma once
#include <type_traits>

#include "weft/kernels/cpu/matmul_epilogue.h"
#include "weft/kernels/cpu/matmul_panels.h"
#include "weft/kernels/cpu/matmul_tiles.h"

namespace weft::kernels::cpu::WEFT_ISA {

template <class Kind, class Out>
class Product {
  using T = typename Kind::Element;
  using Prepared = typename Kind::Prepared;

 public:
  Product(const Matmul& p, const MatmulPlan& plan, int64_t batch, int thread, int threads,
          const Apart<Out>& apart = {})
      : p_(p),
        plan_(plan),
        epilogue_(p, batch, apart),
        share_(plan, thread),
        memory_(p, plan, thread, threads),
        panels_(p, plan, batch, memory_),
        plain_(epilogue_.is_plain()) {}

  void pack() { share_.pack(plan_, panels_.source_a, panels_.source_b, memory_); }

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
        const PanelOfA<T> panel = panels_.a(m, l, end);
        Block<Prepared, T> x;
        x.k = end - l, x.rows = place(m, 0).rows;
        x.a = Kind::prepare(panel, x.k, x.rows, memory_.prepared);
        x.a_row = panel.row, x.a_step = panel.step;
        const Ahead<T> ahead(panels_, rows, columns, m, l, end);
        for (int64_t n = columns.begin; n < columns.end; ++n) {
          x.ahead = ahead.at(n - columns.begin, reinterpret_cast<const char*>(x.a));
          x.b = panels_.b(rows, columns, m, n, l, end);
          if (plan_.m_panels == 1)
            x.b_ahead = panels_.b_ahead(x.b, columns, n, end, Kind::fetch_distance);
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
        for (int row = 0; row < 32; ++row, c += p_.c_row_stride)  // to be written at the end
          __builtin_prefetch(c, 1), __builtin_prefetch(c + 16, 1);
        last = false;
      }
    }
    if (last) {
      x.out = memory_.finished + turn_ * 1024;
      if constexpr (Kind::fetches_c) epilogue_.fetch(where);
    }
    run_block(x);
    if (!last) return;
    queue_[1] = {x.out, where};
    turn_ = (turn_ + 1) % matmul_finished_blocks;
  }

  // Before or beside a block the one finished two blocks ago is stored: by now its sums have
  // reached the cache. Beside it, between tile instructions, which leave the vector units idle, go
  // the epilogues that models have.
  void run_block(const Block<Prepared, T>& x) {
#if defined(__AMX_TILE__)
    if constexpr (std::is_same_v<Kind, Bf16Tiles> && std::is_same_v<Out, bf16>) {
      const Finished old = queue_[0];
      const bool whole = old.sums && old.place.whole() && x.rows > 16 && !x.b_ahead.from;
      const auto beside = [&]<int parts>() {
        Kind::block(x, NextRows<Out, parts>{epilogue_.rows(old.sums, old.place)});
      };
      if (whole &&
          epilogue_.template with_parts<0, add_bias, add_residual, add_bias | add_residual,
                                        add_bias | apply_gelu, add_bias | apply_gelu | keep_slope,
                                        by_slope>(beside))
        return shift_queue();
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

  const Matmul& p_;
  const MatmulPlan& plan_;
  Epilogue<T, Out> epilogue_;
  Share share_;
  Memory<T, Prepared> memory_;
  Panels<T, Prepared> panels_;
  bool plain_;
  int turn_ = 0;
  Finished queue_[2];  // [0] is the older
};

}  // namespace weft::kernels::cpu::WEFT_ISA
