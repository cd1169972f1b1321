// One product on all threads: packing, blocking over the caches, and the epilogue. `Kind` is how a
// 32 x 32 block is multiplied (matmul_vectors.h, matmul_tiles.h).
#pragma once
#include "weft/kernels/cpu/matmul_pack.h"
#include "weft/kernels/cpu/matmul_vectors.h"
#include "weft/kernels/matmul_plan.h"

namespace weft::kernels::cpu::WEFT_ISA {

inline int64_t smaller(int64_t x, int64_t y) {
  return x < y ? x : y;
}

struct Span {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};
inline Span part(Span all, int64_t i, int64_t parts) {
  return {all.begin + all.size() * i / parts, all.begin + all.size() * (i + 1) / parts};
}

// Offset of panel `panel` at `l` in the packed layout of `panels` panels (matmul_plan.h).
inline int64_t packed_offset(int64_t panels, int64_t k, int64_t k_run, int64_t panel, int64_t l) {
  const int64_t start = l / k_run * k_run, run = smaller(k_run, k - start);
  return 32 * (start * panels + panel * run + (l - start));
}

// A share of packing: of all (run of K, panel) pairs for `panels`, the i-th of `parts`.
template <bool is_a, class T>
inline void pack_share(const Source<T>& source, T* to, int64_t all_panels, Span panels, int64_t k,
                       int64_t i, int64_t parts) {
  const int64_t k_run = matmul_k_run(dtype_of<T>::value), runs = (k + k_run - 1) / k_run;
  const Span mine = part({0, runs * panels.size()}, i, parts);
  for (int64_t unit = mine.begin; unit < mine.end; ++unit) {
    const int64_t l = unit / panels.size() * k_run;
    const int64_t panel = panels.begin + unit % panels.size();
    pack_panel<is_a>(source, panel * 32, l, smaller(l + k_run, k),
                     to + packed_offset(all_panels, k, k_run, panel, l));
  }
}

template <class T>
Source<T> source_a(const Matmul& p, int64_t batch) {
  return {static_cast<const T*>(p.a.data) + batch * p.a.batch_stride, p.a.row_stride,
          p.a.col_stride, p.m, p.k};
}
template <class T>
Source<T> source_b(const Matmul& p, int64_t batch) {
  return {static_cast<const T*>(p.b.data) + batch * p.b.batch_stride, p.b.col_stride,
          p.b.row_stride, p.n, p.k};
}

// What one thread does for one product of the batch.
template <class Kind, class Out>
class Product {
  using T = typename Kind::Element;
  static constexpr int64_t k_run = matmul_k_run(dtype_of<T>::value);
  static constexpr int64_t k_chunk = Kind::k_chunk;
  static_assert(k_run % k_chunk == 0);

 public:
  Product(const Matmul& p, const MatmulPlan& plan, int64_t batch, int thread, int threads)
      : p_(p),
        plan_(plan),
        epilogue_{p, batch},
        a_(source_a<T>(p, batch)),
        b_(source_b<T>(p, batch)) {
    const int place = plan.whole_products ? 0 : thread;
    row_part_ = place / plan.column_parts, column_part_ = place % plan.column_parts;
    working_ = row_part_ < plan.row_parts;
    rows_ = part({0, plan.m_panels}, row_part_, plan.row_parts);
    columns_ = part({0, plan.n_panels}, column_part_, plan.column_parts);
    lay_out(thread, threads);
  }

  // This thread's share of what all use: of its rows of A with the others in its row of the grid,
  // of its columns of B likewise.
  void pack() {
    if (!working_) return;
    if (plan_.pack_a == MatmulPlan::shared)
      pack_share<true>(a_, packed_a_, plan_.m_panels, rows_, plan_.k_padded, column_part_,
                       plan_.column_parts);
    if (plan_.pack_b == MatmulPlan::shared)
      pack_share<false>(b_, packed_b_, plan_.n_panels, columns_, plan_.k_padded, row_part_,
                        plan_.row_parts);
  }

  void multiply() {
    if (!working_ || rows_.size() == 0 || columns_.size() == 0) return;
    Kind::begin(int(plan_.m_panels == 1 ? p_.m : 32));
    for (int64_t m = rows_.begin; m < rows_.end; m += plan_.m_block)
      for (int64_t n = columns_.begin; n < columns_.end; n += plan_.n_block)
        multiply_part({m, smaller(m + plan_.m_block, rows_.end)},
                      {n, smaller(n + plan_.n_block, columns_.end)});
    flush();
    flush();
    Kind::end();
  }

 private:
  struct Finished {
    const float* sums = nullptr;
    Place place;
  };

  void lay_out(int thread, int threads) {
    const uintptr_t start = (reinterpret_cast<uintptr_t>(p_.scratch) + 63) / 64 * 64;
    std::byte* at = reinterpret_cast<std::byte*>(start);
    std::byte* own = at + size_t(thread) * plan_.thread_bytes;
    std::byte* packed = at + size_t(threads) * plan_.thread_bytes;
    if (plan_.whole_products) packed += size_t(thread) * (plan_.a_bytes + plan_.b_bytes);
    packed_a_ = reinterpret_cast<T*>(packed);
    packed_b_ = reinterpret_cast<T*>(packed + plan_.a_bytes);
    if (plan_.pack_b == MatmulPlan::before) packed_b_ = const_cast<T*>(b_.data);
    sums_ = reinterpret_cast<float*>(own);
    finished_ = sums_ + int64_t(plan_.m_block) * plan_.n_block * 1024;
    own += plan_.sum_bytes;
    const int64_t run = smaller(plan_.k_padded, k_run);
    prepared_a_ = reinterpret_cast<typename Kind::Prepared*>(own);
    local_a_ = reinterpret_cast<T*>(own + 2 * sizeof(T) * 32 * run);
    local_b_ = local_a_ + 32 * run;
  }

  Place place(int64_t m, int64_t n) const {
    return {m * 32, n * 32, int(smaller(32, p_.m - m * 32)), int(smaller(32, p_.n - n * 32))};
  }

  // Blocks of rows x columns: sums stay with this thread while it goes through K.
  void multiply_part(Span rows, Span columns) {
    int64_t l = 0;
    do {
      const int64_t end = smaller(l + k_chunk, plan_.k_padded);
      for (int64_t m = rows.begin; m < rows.end; ++m) {
        const int count = place(m, 0).rows;
        const auto* a = Kind::prepare(panel_a(m, l, end), end - l, count, prepared_a_);
        for (int64_t n = columns.begin; n < columns.end; ++n)
          multiply_block(a, rows, columns, m, n, l, end);
      }
      l = end;
    } while (l < plan_.k_padded);
  }

  void multiply_block(const typename Kind::Prepared* a, Span rows, Span columns, int64_t m,
                      int64_t n, int64_t l, int64_t end) {
    float* sums = sums_ + ((m - rows.begin) * columns.size() + (n - columns.begin)) * 1024;
    const Place where = place(m, n);
    const bool first = l == 0, last = end == plan_.k_padded;
    if (first && p_.accumulate) load_c(sums, where);
    const bool from_memory = plan_.m_panels == 1 && plan_.pack_b == MatmulPlan::before;
    Block<typename Kind::Prepared, T> x;
    x.a = a, x.b = panel_b(rows, columns, m, n, l, end), x.k = end - l, x.rows = where.rows;
    x.in = first && !p_.accumulate ? nullptr : sums;
    x.out = last ? finished_ + turn_ * 1024 : sums;
    x.b_in_memory = from_memory;
    flush();
    Kind::block(x);
    if (last) {
      queue_[1] = {x.out, where};
      turn_ = (turn_ + 1) % matmul_finished_blocks;
    }
  }

  const T* panel_a(int64_t m, int64_t l, int64_t end) {
    if (plan_.pack_a == MatmulPlan::shared)
      return packed_a_ + packed_offset(plan_.m_panels, plan_.k_padded, k_run, m, l);
    pack_panel<true>(a_, m * 32, l, end, local_a_);
    return local_a_;
  }

  // A local panel is packed when the first row of blocks comes by.
  const T* panel_b(Span rows, Span columns, int64_t m, int64_t n, int64_t l, int64_t end) {
    if (plan_.pack_b != MatmulPlan::local)
      return packed_b_ + packed_offset(plan_.n_panels, plan_.k_padded, k_run, n, l);
    T* to =
        local_b_ + (rows.size() > 1 ? n - columns.begin : 0) * 32 * smaller(k_run, plan_.k_padded);
    if (m == rows.begin) pack_panel<false>(b_, n * 32, l, end, to);
    return to;
  }

  void load_c(float* sums, const Place& where) {
    if constexpr (sizeof(Out) == 4) epilogue_.load_block(sums, where);
  }

  // Stores the block finished two blocks ago: by now its sums have reached the cache.
  void flush() {
    if (queue_[0].sums) epilogue_.store_block(queue_[0].sums, queue_[0].place);
    queue_[0] = queue_[1];
    queue_[1].sums = nullptr;
  }

  const Matmul& p_;
  const MatmulPlan& plan_;
  Epilogue<T, Out> epilogue_;
  Source<T> a_, b_;
  int row_part_, column_part_;
  bool working_;
  Span rows_, columns_;  // of panels
  T *packed_a_, *packed_b_, *local_a_, *local_b_;
  typename Kind::Prepared* prepared_a_;
  float *sums_, *finished_;
  int turn_ = 0;
  Finished queue_[2];  // [0] is the older
};

template <class Kind, class Out>
void multiply_all(CpuStream& stream, const Matmul& p) {
  if (p.batch == 0 || p.m == 0 || p.n == 0) return;
  ThreadPool& pool = stream.pool();
  const int threads = pool.size();
  const MatmulPlan plan = plan_matmul(p, threads);
  const bool meet = !plan.whole_products && threads > 1 &&
                    (plan.pack_a == MatmulPlan::shared || plan.pack_b == MatmulPlan::shared);
  pool.run([&](int thread) {
    const Span all{0, p.batch};
    const Span mine = plan.whole_products ? part(all, thread, threads) : all;
    for (int64_t batch = mine.begin; batch < mine.end; ++batch) {
      Product<Kind, Out> product(p, plan, batch, thread, threads);
      if (meet && batch > 0) pool.barrier();  // all have read what the last one packed
      product.pack();
      if (meet) pool.barrier();
      product.multiply();
    }
  });
}

}  // namespace weft::kernels::cpu::WEFT_ISA
