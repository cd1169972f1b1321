#include "weft/kernels/cuda/matmul.h"

#include <algorithm>
#include <limits>

#include "weft/base/error.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/matmul_checks.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::TensorBoxes;
using weft::cuda::TensorMap;

// Of one matrix of the batch.
int64_t cluster_tiles(const Matmul& p, const MatmulSchedule& s) {
  return ceil_div(p.m, int64_t(s.tile_m) * s.cluster) * ceil_div(p.n, s.tile_n);
}

// Which way an operand lies: k contiguous (false) or the other dimension (true).
bool turned(int64_t k_stride, int64_t other_stride, const Matmul& p, const char* name) {
  if (k_stride != 1 && other_stride != 1)
    user_error("{}: {} has strides {} and {}; expected one of them to be 1", matmul_name(p), name,
               k_stride, other_stride);
  return k_stride != 1;
}

// Matrices of `outer` indices by k, as boxes of `box_rows` outer indices by 64 of k; turned: of
// `box_rows` of k by 64 outer indices.
TensorMap batch_map(const Matmul& p, const MatmulOperand& x, bool is_turned, int64_t outer,
                    int64_t outer_stride, int64_t k_stride, int box_rows, const char* name) {
  TensorBoxes boxes;
  boxes.element = element_of(p.in);
  boxes.data = x.data;
  boxes.rank = 3;
  const int64_t matrices = x.batch_stride == 0 ? 1 : p.batch;
  if (is_turned)
    boxes.sizes = {outer, p.k, matrices, 1}, boxes.strides = {1, k_stride, x.batch_stride, 1};
  else
    boxes.sizes = {p.k, outer, matrices, 1}, boxes.strides = {1, outer_stride, x.batch_stride, 1};
  boxes.box = {64, box_rows, 1, 1};
  return weft::cuda::make_tensor_map(boxes, format("{} of {}", name, matmul_name(p)));
}

TensorMap result_map(const Matmul& p) {
  TensorBoxes boxes;
  boxes.element = element_of(p.out);
  boxes.data = p.c;
  boxes.rank = 3;
  boxes.sizes = {p.n, p.m, p.batch, 1};
  boxes.strides = {1, p.c_row_stride, p.c_batch_stride, 1};
  boxes.box = {p.out == DType::f32 ? 32 : 64, rows_per_warp, 1, 1};
  return weft::cuda::make_tensor_map(boxes, "C of " + matmul_name(p));
}

std::string schedule_text(const MatmulSchedule& s) {
  return format(
      "constexpr weft::kernels::cuda::MatmulSchedule s{{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, "
      "{}, {}}};\n",
      s.tile_m, s.tile_n, s.stages, s.cluster, s.group, s.store_units, s.a_turned, s.b_turned,
      s.f32_out, s.accumulate, s.f16, epilogue_text(s.epilogue));
}

MatmulSchedule narrow(MatmulSchedule s) {
  s.tile_n = 128, s.stages = 6, s.store_units = 2;
  return s;
}
// Beside wide tiles no registers are left for it.
bool reads_beside(const MatmulSchedule& s) {
  return s.epilogue.keep_slope || s.epilogue.times_slope || s.epilogue.residual;
}

}  // namespace

// Wide tiles read less and are 3 % faster in themselves; narrow ones are taken where they fill the
// last round of multiprocessors so much better.
MatmulSchedule matmul_schedule(const Matmul& p, int multiprocessors) {
  MatmulSchedule wide;
  wide.a_turned = turned(p.a.col_stride, p.a.row_stride, p, "A");
  wide.b_turned = turned(p.b.row_stride, p.b.col_stride, p, "B");
  wide.f32_out = p.out == DType::f32;
  wide.accumulate = p.accumulate;
  wide.f16 = p.in == DType::f16;
  wide.epilogue = epilogue_of(p);
  const auto cost = [&](const MatmulSchedule& s) {
    return double(ceil_div(p.batch * cluster_tiles(p, s), multiprocessors / s.cluster)) * s.tile_n;
  };
  return reads_beside(wide) || cost(narrow(wide)) * 1.03 < cost(wide) ? narrow(wide) : wide;
}

namespace {

// Forms of training and serving: forward with the weight as [n][k] or [k][n] (which are each
// other's input gradient), and weight gradients; and what follows the forward ones.
struct Form {
  bool a_turned, b_turned, f32_out, accumulate;
  MatmulEpilogue epilogue;
};
constexpr MatmulEpilogue bias{true}, bias_gelu{true, true}, bias_gelu_slope{true, true, true},
    times_slope{false, false, false, true}, residual{false, false, false, false, true},
    bias_residual{true, false, false, false, true};
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
                                  {false, true, false, false, bias_residual}};

}  // namespace

std::vector<MatmulSchedule> shipped_matmul_schedules() {
  std::vector<MatmulSchedule> all;
  for (const Form& form : shipped_forms) {
    MatmulSchedule s;
    s.a_turned = form.a_turned, s.b_turned = form.b_turned;
    s.f32_out = form.f32_out, s.accumulate = form.accumulate, s.epilogue = form.epilogue;
    if (!reads_beside(s)) all.push_back(s);
    all.push_back(narrow(s));
  }
  return all;
}

weft::cuda::KernelSource matmul_source(const MatmulSchedule& s) {
  weft::cuda::KernelSource source = kernel_source("matmul");
  source.headers.emplace_back("schedule", schedule_text(s));
  source.headers.emplace_back(
      "wgmma", product_text({"wgmma", s.tile_n, false, s.a_turned, s.b_turned, s.f16}));
  return source;
}

// The number of slabs that ends first on an H200 with the default tiles, if a round of tiles costs
// its steps and a little more. Neither the device at hand nor the schedule is asked: slabs are part
// of what the numbers mean.
int matmul_slabs(const Matmul& p) {
  if (p.out != DType::f32 || epilogue_of(p) != MatmulEpilogue()) return 1;
  constexpr int64_t round_cost = 4, min_steps = 16, max_slabs = 64, h200_multiprocessors = 132;
  const MatmulSchedule s;
  const int64_t tiles = cluster_tiles(p, s), workers = h200_multiprocessors / s.cluster;
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

size_t matmul_scratch_bytes(const Matmul& p, const MatmulSchedule& s) {
  if (matmul_slabs(p) == 1) return 0;
  return size_t(p.batch * cluster_tiles(p, s) * s.cluster * warps_per_tile) * sizeof(int);
}

void matmul(CudaStream& stream, const Matmul& p) {
  if (is_skinny(p)) return skinny_matmul(stream, p);
  matmul(stream, p, matmul_schedule(p, stream.cuda_device().multiprocessors()));
}

void matmul(CudaStream& stream, const Matmul& p, const MatmulSchedule& s) {
  check_matmul(p);
  if (p.m == 0 || p.n == 0 || p.batch == 0) return;
  CudaDevice& device = stream.cuda_device();
  TensorMap a = batch_map(p, p.a, s.a_turned, p.m, p.a.row_stride, p.a.col_stride,
                          s.a_turned ? reduced_per_stage : s.tile_m, "A");
  TensorMap b = batch_map(p, p.b, s.b_turned, p.n, p.b.col_stride, p.b.row_stride, b_share(s), "B");
  TensorMap c = result_map(p);
  MatmulArguments arguments = matmul_arguments(p);
  arguments.slabs = matmul_slabs(p);
  if (arguments.slabs > 1) {
    WEFT_CHECK(p.scratch != nullptr, "{} wants scratch", matmul_name(p));
    stream.fill(static_cast<std::byte*>(p.scratch), 0, matmul_scratch_bytes(p, s));
  }
  const std::string text = schedule_text(s);
  const CudaKernel& kernel =
      device.kernel("matmul " + text, shared_bytes(s), [&] { return matmul_source(s); });
  const int64_t workers = device.multiprocessors() / s.cluster;
  const int64_t clusters =
      std::min(workers, p.batch * cluster_tiles(p, s) * int64_t(arguments.slabs));
  void* values[] = {&a, &b, &c, &arguments};
  kernel.launch(stream, {unsigned(clusters * s.cluster), 1, 1, block_threads}, values);
}

}  // namespace weft::kernels::cuda
