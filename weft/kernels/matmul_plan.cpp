#include "weft/kernels/matmul_plan.h"

#include <algorithm>
#include <numeric>

#include "weft/base/error.h"

namespace weft::kernels {
namespace {

int64_t ceil_div(int64_t x, int64_t y) {
  return (x + y - 1) / y;
}

void check(const Matmul& p) {
  WEFT_CHECK(p.batch >= 0 && p.m >= 0 && p.n >= 0 && p.k >= 0, "batch {} m {} n {} k {}", p.batch,
             p.m, p.n, p.k);
  WEFT_CHECK(p.in == DType::bf16 || p.in == DType::f32, "in {}", dtype_name(p.in));
  WEFT_CHECK(p.out == DType::f32 || p.out == p.in, "in {} out {}", dtype_name(p.in),
             dtype_name(p.out));
  WEFT_CHECK(!p.accumulate || p.out == DType::f32, "out {}", dtype_name(p.out));
  WEFT_CHECK(!p.halves || (!p.b.packed && !p.accumulate && !p.bias && !p.activation));
  WEFT_CHECK(!p.a.packed);
  WEFT_CHECK(p.scale == 1 && p.activation <= Matmul::times_slope, "scale {} activation {}", p.scale,
             int(p.activation));
  WEFT_CHECK(p.activation != Matmul::none || !p.slope);
  WEFT_CHECK(p.activation != Matmul::times_slope || (p.slope && !p.bias && !p.residual));
  WEFT_CHECK(p.a.col_stride == 1 || p.a.row_stride == 1 || p.k <= 1 || p.m <= 1,
             "strides of A {} {}", p.a.row_stride, p.a.col_stride);
  WEFT_CHECK(p.b.packed || p.b.col_stride == 1 || p.b.row_stride == 1 || p.k <= 1 || p.n <= 1,
             "strides of B {} {}", p.b.row_stride, p.b.col_stride);
}

// The grid with the fewest blocks for the busiest thread; of those, the one that reads least.
void choose_grid(MatmulPlan& plan, int threads) {
  int64_t best_blocks = INT64_MAX, best_panels = INT64_MAX;
  for (int rows = threads; rows >= 1; --rows) {
    const int columns = threads / rows;
    const int64_t m = ceil_div(plan.m_panels, rows), n = ceil_div(plan.n_panels, columns);
    if (m * n > best_blocks || (m * n == best_blocks && m + n >= best_panels)) continue;
    best_blocks = m * n, best_panels = m + n;
    plan.row_parts = rows, plan.column_parts = columns;
  }
}

// Batches that leave little idle are shared out whole: no barriers, and operands stay in one cache.
bool share_out_products(const Matmul& p, int threads) {
  const int64_t rounds = ceil_div(p.batch, threads);
  return threads > 1 && p.batch > 1 && rounds * threads * 4 <= p.batch * 5;
}

// Two threads that pack a half each and read the other's wait for lines that lie changed in the
// other's cache: a [768, 128] operand costs each 4 us to pack whole, and 15 to 30 us to get half of
// (two AMX cores). Many threads, or an operand too large for their caches, do better to share.
constexpr int64_t most_own_bytes = 1 << 20;
constexpr int most_own_copies = 4;

// Rows of whole steps whose lines, 32 rows by a run of K, spread over the 64 sets of the
// first-level cache.
bool readable_in_place(const Matmul& p) {
  const int64_t step = matmul_k_step(p.in);  // a line
  return p.in == DType::bf16 && p.a.col_stride == 1 && p.k > 0 && p.k % step == 0 &&
         p.a.row_stride % step == 0 && std::gcd(p.a.row_stride / step, int64_t(64)) <= 16;
}

void choose_packing(const Matmul& p, MatmulPlan& plan) {
  if (plan.column_parts == 1 && plan.n_panels <= plan.n_block) plan.pack_a = MatmulPlan::local;
  if (plan.row_parts == 1 && plan.m_panels <= plan.m_block) plan.pack_b = MatmulPlan::local;
  const int64_t panel = matmul_panel * plan.k_padded * int64_t(dtype_size(p.in));
  const auto own = [&](int64_t panels, int readers) {
    return readers > 1 && readers <= most_own_copies && panels * panel <= most_own_bytes;
  };
  if (plan.pack_a == MatmulPlan::shared && own(plan.m_panels, plan.column_parts))
    plan.pack_a = MatmulPlan::own;
  if (plan.pack_b == MatmulPlan::shared && own(plan.n_panels, plan.row_parts))
    plan.pack_b = MatmulPlan::own;
  if (readable_in_place(p)) plan.pack_a = MatmulPlan::in_place;
  if (p.b.packed) plan.pack_b = MatmulPlan::before;
}

void lay_out_scratch(const Matmul& p, MatmulPlan& plan, int threads) {
  const int64_t panel_row = matmul_panel * int64_t(dtype_size(p.in));  // bytes of a panel for one k
  const int64_t run = std::min(plan.k_padded, matmul_k_run);
  const int64_t local_panels = 1 + std::min<int64_t>(plan.n_block, plan.n_panels);
  const int64_t expanded = 2 * panel_row * run;  // A as f32, where tiles are not multiplied as such
  plan.sum_bytes = size_t(plan.m_block * plan.n_block + matmul_finished_blocks) * 4096;
  plan.panel_bytes = size_t(expanded + local_panels * panel_row * run);
  const size_t a = size_t(plan.m_panels * plan.k_padded * panel_row);
  const size_t b = size_t(plan.n_panels * plan.k_padded * panel_row);
  if (plan.pack_a == MatmulPlan::own) plan.own_a_bytes = a;
  if (plan.pack_b == MatmulPlan::own) plan.own_b_bytes = b;
  if (plan.pack_a == MatmulPlan::shared) plan.a_bytes = a;
  if (plan.pack_b == MatmulPlan::shared) plan.b_bytes = b;
  plan.thread_bytes = plan.sum_bytes + plan.panel_bytes + plan.own_a_bytes + plan.own_b_bytes;
  const size_t shared = (plan.whole_products ? threads : 1) * (plan.a_bytes + plan.b_bytes);
  plan.total_bytes = 64 + size_t(threads) * plan.thread_bytes + shared;
}

}  // namespace

int64_t matmul_k_padded(int64_t k, DType in) {
  const int64_t step = matmul_k_step(in);
  return std::max(ceil_div(k, step), int64_t(1)) * step;
}

MatmulPlan plan_matmul(const Matmul& p, int threads) {
  check(p);
  MatmulPlan plan;
  plan.m_panels = ceil_div(p.m, matmul_panel);
  plan.n_panels = ceil_div(p.n, matmul_panel);
  plan.k_padded = matmul_k_padded(p.k, p.in);
  plan.whole_products = share_out_products(p, threads);
  if (!plan.whole_products) choose_grid(plan, threads);
  plan.m_block = int(std::min<int64_t>(plan.m_block, ceil_div(plan.m_panels, plan.row_parts)));
  plan.n_block = int(std::min<int64_t>(plan.n_block, ceil_div(plan.n_panels, plan.column_parts)));
  // Weights read in place, once: each panel to the end, as memory lies.
  if (plan.m_panels == 1 && !p.b.packed) plan.n_block = 1, plan.k_block = 128;
  choose_packing(p, plan);
  lay_out_scratch(p, plan, threads);
  return plan;
}

bool matmul_in_halves(const Matmul& p) {
  constexpr int64_t least_k = 512, most_elements = 1 << 17;
  return p.halves && p.in == DType::bf16 && p.out == DType::f32 && p.batch == 1 && p.k >= least_k &&
         p.m * p.n <= most_elements;
}

MatmulHalves plan_matmul_halves(const Matmul& p, int threads) {
  MatmulHalves h;
  h.in_turn = threads % 2 != 0;
  h.group = h.in_turn ? threads : threads / 2;
  h.row = ceil_div(p.m, matmul_panel) / 2 * matmul_panel;
  const int64_t first = ceil_div(p.k, 2 * matmul_k_step(p.in)) * matmul_k_step(p.in);
  std::byte* scratch = static_cast<std::byte*>(p.scratch);
  for (int i = 0; i < 2; ++i) {
    Matmul& half = h.half[i] = p;
    half.halves = false, half.residual = nullptr;
    half.k = i == 0 ? first : p.k - first;
    half.scratch = scratch + h.total_bytes;
    h.plan[i] = plan_matmul(half, h.group);
    h.total_bytes += size_t(ceil_div(int64_t(h.plan[i].total_bytes), 64)) * 64;
  }
  const size_t offset = size_t(first) * dtype_size(p.in);
  const auto later = [offset](const MatmulOperand& x, int64_t stride) -> const void* {
    return static_cast<const std::byte*>(x.data) + offset * size_t(stride);
  };
  h.half[1].a.data = later(p.a, p.a.col_stride), h.half[1].b.data = later(p.b, p.b.row_stride);
  h.apart = reinterpret_cast<float*>(scratch + h.total_bytes);
  h.total_bytes += size_t(p.m * p.c_row_stride) * sizeof(float);
  return h;
}

// Fewer rows can need more: they may be shared out otherwise, with more that is packed.
size_t matmul_scratch_bytes(const Matmul& params, int threads) {
  if (matmul_in_halves(params)) return plan_matmul_halves(params, threads).total_bytes;
  size_t most = plan_matmul(params, threads).total_bytes;
  Matmul fewer = params;
  for (fewer.m -= matmul_panel; fewer.m > 0; fewer.m -= matmul_panel)
    most = std::max(most, plan_matmul(fewer, threads).total_bytes);
  return most;
}

size_t matmul_packed_bytes(int64_t k, int64_t n, DType dtype) {
  return size_t(ceil_div(n, matmul_panel) * matmul_panel * matmul_k_padded(k, dtype)) *
         dtype_size(dtype);
}

}  // namespace weft::kernels
