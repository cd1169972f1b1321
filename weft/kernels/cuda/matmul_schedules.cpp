// Which schedule a product takes, and what ships; declared in matmul.h.
#include <algorithm>
#include <limits>

#include "weft/base/error.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/matmul.h"
#include "weft/kernels/cuda/matmul_checks.h"

namespace weft::kernels::cuda {
namespace {

// What there is to choose from: a tile, and how many of them are in a cluster either way.
struct Tiling {
  int tile_m, tile_n, cluster_m, cluster_n;
};
constexpr Tiling tilings[] = {{128, 192, 2, 1}, {128, 128, 2, 1}, {128, 64, 2, 1},
                              {128, 128, 1, 1}, {128, 64, 1, 1},  {64, 64, 1, 2},
                              {64, 128, 2, 1},  {192, 128, 1, 1}};

constexpr int full_tile = 128 * 192;  // elements whose sums fill the registers

// Two units of staging where registers leave the memory to a narrow tile; the rest is the ring.
MatmulSchedule tiled(MatmulSchedule s, const Tiling& t) {
  s.tile_m = t.tile_m, s.tile_n = t.tile_n, s.cluster_m = t.cluster_m, s.cluster_n = t.cluster_n;
  const int units = s.tile_m / 64 * result_columns(s) / (s.f32_out ? 32 : 64);
  s.store_units = s.tile_m * s.tile_n < full_tile && units % 2 == 0 ? 2 : 1;
  s.stages = ring_stages(s);
  return s;
}

// Sums have the registers of a tile of 128 x 192; beside it none are left for what an epilogue
// reads or writes beside C. A tile of SwiGLU is as wide as two units of C, of gates and of ups.
bool is_legal(const MatmulSchedule& s) {
  const MatmulEpilogue& e = s.epilogue;
  if (s.tile_m * s.tile_n > full_tile) return false;
  if (e.swiglu) return s.tile_n == 128 && s.tile_m < 192;
  return s.tile_m * s.tile_n < full_tile ||
         !(e.keep_slope || e.times_slope || e.swiglu_gradient || e.residual);
}

// Which way an operand lies: k contiguous (false) or the other dimension (true).
bool turned(int64_t k_stride, int64_t other_stride, const Matmul& p, const char* name) {
  if (k_stride != 1 && other_stride != 1)
    user_error("{}: {} has strides {} and {}; expected one of them to be 1", matmul_name(p), name,
               k_stride, other_stride);
  return k_stride != 1;
}

MatmulSchedule form_of(const Matmul& p) {
  MatmulSchedule form;
  form.a_turned = turned(p.a.col_stride, p.a.row_stride, p, "A");
  form.b_turned = turned(p.b.row_stride, p.b.col_stride, p, "B");
  form.f32_out = p.out == DType::f32;
  form.accumulate = p.accumulate;
  form.f16 = p.in == DType::f16;
  form.epilogue = epilogue_of(p);
  return form;
}

// Forms of training and serving: forward with the weight as [n][k] or [k][n] (which are each
// other's input gradient), and weight gradients; and what follows the forward ones.
struct Form {
  bool a_turned, b_turned, f32_out, accumulate;
  MatmulEpilogue epilogue;
};
constexpr MatmulEpilogue bias{true}, bias_gelu{true, true}, bias_gelu_slope{true, true, true},
    times_slope{false, false, false, true}, residual{false, false, false, false, true},
    bias_residual{true, false, false, false, true}, swiglu{false, false, false, false, false, true},
    swiglu_slope{false, false, true, false, false, true},
    swiglu_gradient{false, false, false, false, false, false, true};
constexpr Form shipped_forms[] = {{false, false, false, false, {}},
                                  {false, true, false, false, {}},
                                  {true, true, false, false, {}},
                                  {false, false, true, false, {}},
                                  {false, true, true, false, {}},
                                  {true, true, true, false, {}},
                                  {true, true, true, true, {}},
                                  {false, false, false, false, bias},
                                  {false, true, false, false, bias},
                                  {false, false, false, false, bias_gelu},
                                  {false, true, false, false, bias_gelu},
                                  {false, false, false, false, bias_gelu_slope},
                                  {false, true, false, false, bias_gelu_slope},
                                  {false, false, false, false, times_slope},
                                  {false, true, false, false, times_slope},
                                  {false, false, false, false, residual},
                                  {false, true, false, false, residual},
                                  {false, false, false, false, bias_residual},
                                  {false, true, false, false, bias_residual},
                                  {false, false, false, false, swiglu},
                                  {false, false, false, false, swiglu_slope},
                                  {false, true, false, false, swiglu_gradient}};

}  // namespace

// Rates of one H200 under random operands; steps are 64 of k. Where the tensor cores are the limit,
// a step of a tile costs its columns and 12 more.
double matmul_seconds(const Matmul& p, const MatmulSchedule& s, int multiprocessors) {
  constexpr double multiply_rate = 5.53e12;  // operations of one multiprocessor
  constexpr double own_rate = 115e9;         // bytes into one multiprocessor
  constexpr double l2_rate = 8e12, memory_rate = 4e12;
  const int64_t tiles = p.batch * cluster_tiles(p, s), slabs = matmul_slabs(p);
  const int64_t rounds = ceil_div(tiles * slabs, multiprocessors / cluster_size(s));
  const int64_t steps = ceil_div(ceil_div(p.k, reduced_per_stage), slabs);
  const double busy = double(std::min<int64_t>(multiprocessors, tiles * slabs * cluster_size(s)));
  const double multiply = 2.0 * s.tile_m * (s.tile_n + 12) * reduced_per_stage / multiply_rate;
  const double own = double(s.tile_m + s.tile_n) * row_bytes / own_rate;
  const double l2 = busy * (double(s.tile_m) / s.cluster_n + double(s.tile_n) / s.cluster_m) *
                    row_bytes / l2_rate;
  const double step = std::max({multiply, own, l2});
  const double bytes =
      double(dtype_size(p.in)) * double(p.batch) *
      (double(p.m) * double(p.k) + double(p.n) * double(p.k) + double(p.m) * double(p.n));
  return std::max(double(rounds) * (double(steps) * step + 2 * multiply), bytes / memory_rate);
}

std::vector<MatmulSchedule> matmul_candidates(const Matmul& p, int multiprocessors) {
  std::vector<std::pair<double, MatmulSchedule>> ranked;
  const MatmulSchedule form = form_of(p);
  for (const int tile_m : {64, 128, 192})
    for (const int tile_n : {64, 128, 192, 256})
      for (const auto& [cluster_m, cluster_n] : {std::pair{1, 1}, {2, 1}, {1, 2}}) {
        const MatmulSchedule s = tiled(form, {tile_m, tile_n, cluster_m, cluster_n});
        if (is_legal(s)) ranked.emplace_back(matmul_seconds(p, s, multiprocessors), s);
      }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<MatmulSchedule> all;
  for (const auto& candidate : ranked) all.push_back(candidate.second);
  return all;
}

MatmulSchedule matmul_schedule(const Matmul& p, int multiprocessors) {
  const MatmulSchedule form = form_of(p);
  MatmulSchedule best;
  double best_seconds = std::numeric_limits<double>::infinity();
  for (const Tiling& tiling : tilings) {
    const MatmulSchedule s = tiled(form, tiling);
    const double seconds = matmul_seconds(p, s, multiprocessors);
    if (is_legal(s) && seconds < best_seconds) best = s, best_seconds = seconds;
  }
  return best;
}

// Of the forms that serving has, weights as [n][k], all tilings; of the others those for many rows.
std::vector<MatmulSchedule> shipped_matmul_schedules() {
  std::vector<MatmulSchedule> all;
  for (const Form& form : shipped_forms)
    for (const Tiling& tiling : tilings) {
      MatmulSchedule s;
      s.a_turned = form.a_turned, s.b_turned = form.b_turned;
      s.f32_out = form.f32_out, s.accumulate = form.accumulate, s.epilogue = form.epilogue;
      s = tiled(s, tiling);
      const bool few_rows = s.tile_m * s.tile_n < 128 * 128 || cluster_size(s) == 1;
      const bool serves =
          !s.b_turned && !s.f32_out && !s.epilogue.keep_slope && !s.epilogue.times_slope;
      if (is_legal(s) && (serves || !few_rows)) all.push_back(s);
    }
  return all;
}

// The number of slabs that ends first on an H200 with the default tiles, if a round of tiles costs
// its steps and a little more. Neither the device at hand nor the schedule is asked: slabs are part
// of what the numbers mean.
int matmul_slabs(const Matmul& p) {
  if (p.out != DType::f32 || epilogue_of(p) != MatmulEpilogue()) return 1;
  constexpr int64_t round_cost = 4, min_steps = 16, max_slabs = 64, h200_multiprocessors = 132;
  const MatmulSchedule s;
  const int64_t tiles = cluster_tiles(p, s), workers = h200_multiprocessors / cluster_size(s);
  const int64_t steps = ceil_div(p.k, reduced_per_stage);
  int64_t best = 1, best_cost = std::numeric_limits<int64_t>::max();
  for (int64_t slabs = 1; slabs <= max_slabs && (slabs == 1 || steps / slabs >= min_steps);
       ++slabs) {
    const int64_t rounds = ceil_div(tiles * slabs, workers);
    const int64_t cost = rounds * (ceil_div(steps, slabs) + round_cost);
    // Each slab is added to C in memory: it must save a twentieth.
    if (cost < best_cost) best = slabs, best_cost = slabs == 1 ? cost * 19 / 20 : cost;
  }
  return int(best);
}

}  // namespace weft::kernels::cuda
