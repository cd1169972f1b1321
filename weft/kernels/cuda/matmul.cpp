#include "weft/kernels/cuda/matmul.h"

#include <algorithm>
#include <limits>

#include "weft/base/error.h"
#include "weft/device/cuda/tensor_map.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::Element;
using weft::cuda::TensorBoxes;
using weft::cuda::TensorMap;

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t cluster_tiles(const Matmul& p, const MatmulSchedule& s) {
  return ceil_div(p.m, int64_t(s.tile_m) * s.cluster) * ceil_div(p.n, s.tile_n);
}

std::string shape_of(const Matmul& p) {
  return format("matmul {}x{}x{}", p.m, p.n, p.k);
}

// Which way an operand lies: k contiguous (false) or the other dimension (true).
bool turned(int64_t k_stride, int64_t other_stride, const Matmul& p, const char* name) {
  if (k_stride != 1 && other_stride != 1)
    user_error("{}: {} has strides {} and {}; expected one of them to be 1", shape_of(p), name,
               k_stride, other_stride);
  return k_stride != 1;
}

void check_supported(const Matmul& p) {
  const std::string shape = shape_of(p);
  if (p.in != DType::bf16 || (p.out != DType::bf16 && p.out != DType::f32))
    user_error("{}: on the GPU operands are bf16 and results bf16 or f32, got {} and {}", shape,
               dtype_name(p.in), dtype_name(p.out));
  if (p.batch != 1 || p.slope || p.residual || p.a.packed || p.b.packed)
    user_error("{}: batches, slopes, residual and packed operands are not for the GPU yet",
               shape);
  if (p.activation != Matmul::none && p.activation != Matmul::gelu_tanh)
    user_error("{}: this activation is not for the GPU yet", shape);
  if (p.accumulate && p.out != DType::f32)
    user_error("{}: a sum is added to C in f32 only, got bf16", shape);
  if (p.out == DType::f32 && (p.bias || p.activation != Matmul::none))
    user_error("{}: bias and activation are for bf16 results", shape);
  if (p.k < 1 || std::max({p.m, p.n, p.k}) > std::numeric_limits<int>::max() - 1024)
    user_error("{}: expected k of at least 1 and each size below 2^31", shape);
}

// A matrix of `outer` indices by k, as boxes of `box_rows` outer indices by 64 of k; turned: of
// `box_rows` of k by 64 outer indices.
TensorMap operand_map(const MatmulOperand& x, bool is_turned, int64_t outer, int64_t outer_stride,
                      int64_t k, int64_t k_stride, int box_rows, const std::string& what) {
  TensorBoxes boxes;
  boxes.element = Element::bf16;
  boxes.data = x.data;
  boxes.sizes = is_turned ? std::array<int64_t, 4>{outer, k} : std::array<int64_t, 4>{k, outer};
  boxes.strides = {1, is_turned ? k_stride : outer_stride};
  boxes.box = {64, box_rows};
  return weft::cuda::make_tensor_map(boxes, what);
}

TensorMap result_map(const Matmul& p) {
  TensorBoxes boxes;
  boxes.element = p.out == DType::f32 ? Element::f32 : Element::bf16;
  boxes.data = p.c;
  boxes.sizes = {p.n, p.m};
  boxes.strides = {1, p.c_row_stride};
  boxes.box = {p.out == DType::f32 ? 32 : 64, rows_per_warp};
  return weft::cuda::make_tensor_map(boxes, "C of " + shape_of(p));
}

std::string schedule_text(const MatmulSchedule& s) {
  return format(
      "constexpr weft::kernels::cuda::MatmulSchedule s{{{}, {}, {}, {}, {}, {}, {}, {}, {}, "
      "{}}};\n",
      s.tile_m, s.tile_n, s.stages, s.cluster, s.group, s.store_units, s.a_turned, s.b_turned,
      s.f32_out, s.accumulate);
}

// values: columns `column` and the next, of rows r (0, 1) and r + 8 (2, 3).
std::string epilogue_text(bool bias, Matmul::Activation activation) {
  std::string text = "INLINE void epilogue(float* v, int column, const MatmulArguments& p) {\n";
  if (bias)
    text +=
        "  const u16* b = (const u16*)p.bias + column;\n"
        "  const float b0 = column < p.n ? low_bf16(b[0]) : 0;\n"
        "  const float b1 = column + 1 < p.n ? low_bf16(b[1]) : 0;\n"
        "  v[0] += b0, v[1] += b1, v[2] += b0, v[3] += b1;\n";
  if (activation == Matmul::gelu_tanh)
    text +=
        "  for (int i = 0; i < 4; i += 2) {\n"
        "    const u32 x = pack_bf16(v[i], v[i + 1]);\n"
        "    v[i] = gelu_tanh(low_bf16(x)), v[i + 1] = gelu_tanh(high_bf16(x));\n"
        "  }\n";
  return text + "}\n";
}

std::string schedule_text(const SkinnySchedule& s) {
  return format("constexpr weft::kernels::cuda::SkinnySchedule s{{{}, {}, {}, {}, {}}};\n", s.rows,
                s.a_rows, s.boxes, s.stages, s.cluster);
}

std::string kernel_id(const MatmulSchedule& s, bool bias, Matmul::Activation activation) {
  return format("matmul {} {} {}", schedule_text(s), bias, int(activation));
}

constexpr int skinny_rows[] = {32, 64, 96, 112, 128};  // of W, for one CTA

}  // namespace

// Wide tiles read less and are 3 % faster in themselves; narrow ones are taken where they fill the
// last round of multiprocessors so much better.
MatmulSchedule matmul_schedule(const Matmul& p, int multiprocessors) {
  MatmulSchedule wide;
  wide.a_turned = turned(p.a.col_stride, p.a.row_stride, p, "A");
  wide.b_turned = turned(p.b.row_stride, p.b.col_stride, p, "B");
  wide.f32_out = p.out == DType::f32;
  wide.accumulate = p.accumulate;
  MatmulSchedule narrow = wide;
  narrow.tile_n = 128, narrow.stages = 6, narrow.store_units = 2;
  const auto cost = [&](const MatmulSchedule& s) {
    return double(ceil_div(cluster_tiles(p, s), multiprocessors / s.cluster)) * s.tile_n;
  };
  return cost(narrow) * 1.03 < cost(wide) ? narrow : wide;
}

std::vector<MatmulSchedule> shipped_matmul_schedules() {
  std::vector<MatmulSchedule> all;
  for (const bool a_turned : {false, true})
    for (const bool b_turned : {false, true})
      for (const int out : {0, 1, 2})               // bf16, f32, added into f32
        for (const int64_t columns : {128, 192}) {  // one tile: what fits it is chosen
          Matmul p;
          p.m = 128, p.n = columns, p.k = 64;
          p.a.row_stride = a_turned ? 1 : 64, p.a.col_stride = a_turned ? 128 : 1;
          p.b.row_stride = b_turned ? 192 : 1, p.b.col_stride = b_turned ? 1 : 64;
          p.out = out ? DType::f32 : DType::bf16, p.accumulate = out > 1;
          all.push_back(matmul_schedule(p, 132));
        }
  return all;
}

weft::cuda::KernelSource matmul_source(const MatmulSchedule& s, bool bias,
                                       Matmul::Activation activation) {
  weft::cuda::KernelSource source;
  source.name = "matmul";
  source.text = kernel_text("weft/kernels/cuda/device/matmul.cu");
  source.headers = kernel_headers();
  source.headers.emplace_back("schedule", schedule_text(s));
  source.headers.emplace_back("wgmma",
                              product_text({"wgmma", s.tile_n, false, s.a_turned, s.b_turned}));
  source.headers.emplace_back("epilogue", epilogue_text(bias, activation));
  return source;
}

// The number of slabs that ends first on an H200 with the default tiles, if a round of tiles costs
// its steps and a little more. Neither the device at hand nor the schedule is asked: slabs are part
// of what the numbers mean.
int matmul_slabs(const Matmul& p) {
  if (p.out != DType::f32) return 1;
  constexpr int64_t round_cost = 4, min_steps = 16, max_slabs = 64, h200_multiprocessors = 132;
  const MatmulSchedule s;
  const int64_t tiles = cluster_tiles(p, s), workers = h200_multiprocessors / s.cluster;
  const int64_t steps = ceil_div(p.k, reduced_per_stage);
  int64_t best = 1, best_cost = std::numeric_limits<int64_t>::max();
  for (int64_t slabs = 1; slabs <= max_slabs && (slabs == 1 || steps / slabs >= min_steps);
       ++slabs) {
    const int64_t rounds = ceil_div(tiles * slabs, workers);
    const int64_t cost = rounds * (ceil_div(steps, slabs) + round_cost);
    if (cost < best_cost) best = slabs, best_cost = cost;
  }
  return int(best);
}

size_t matmul_scratch_bytes(const Matmul& p, const MatmulSchedule& s) {
  if (matmul_slabs(p) == 1) return 0;
  return size_t(cluster_tiles(p, s) * s.cluster * warps_per_tile) * sizeof(int);
}

void matmul(CudaStream& stream, const Matmul& p) {
  if (is_skinny(p)) return skinny_matmul(stream, p);
  matmul(stream, p, matmul_schedule(p, stream.cuda_device().multiprocessors()));
}

void matmul(CudaStream& stream, const Matmul& p, const MatmulSchedule& s) {
  check_supported(p);
  if (p.m == 0 || p.n == 0) return;
  CudaDevice& device = stream.cuda_device();
  const TensorMap a = operand_map(p.a, s.a_turned, p.m, p.a.row_stride, p.k, p.a.col_stride,
                                  s.a_turned ? reduced_per_stage : s.tile_m, "A of " + shape_of(p));
  const TensorMap b = operand_map(p.b, s.b_turned, p.n, p.b.col_stride, p.k, p.b.row_stride,
                                  b_share(s), "B of " + shape_of(p));
  const TensorMap c = result_map(p);
  MatmulArguments arguments{int(p.m), int(p.n), int(p.k), 1, p.bias, static_cast<int*>(p.scratch)};
  const int64_t tiles = cluster_tiles(p, s);
  arguments.slabs = matmul_slabs(p);
  if (arguments.slabs > 1) {
    WEFT_CHECK(p.scratch != nullptr, "{} wants scratch", shape_of(p));
    stream.fill(static_cast<std::byte*>(p.scratch), 0,
                size_t(tiles * s.cluster * warps_per_tile) * sizeof(int));
  }
  const bool bias = p.bias != nullptr;
  const CudaKernel& kernel = device.kernel(kernel_id(s, bias, p.activation), shared_bytes(s),
                                           [&] { return matmul_source(s, bias, p.activation); });
  const int64_t workers = device.multiprocessors() / s.cluster;
  const int64_t clusters = std::min(workers, tiles * arguments.slabs);
  void* values[] = {const_cast<TensorMap*>(&a), const_cast<TensorMap*>(&b),
                    const_cast<TensorMap*>(&c), &arguments};
  kernel.launch(stream, {unsigned(clusters * s.cluster), 1, 1, block_threads}, values);
}

bool is_skinny(const Matmul& p) {
  return p.m <= 64 && p.a.col_stride == 1 && p.b.row_stride == 1 && p.out == DType::bf16;
}

// As many rows of W for each read of A as leave a CTA for every multiprocessor of an H200, one
// each: with two, some get both and others none. With more than 16 rows of A, 64 at least: what a
// multiprocessor reads would be mostly A. Clusters of 4 are slower than pairs.
SkinnySchedule skinny_schedule(const Matmul& p) {
  constexpr int64_t h200_multiprocessors = 132;
  constexpr int ring_bytes = 200 << 10;
  SkinnySchedule s;
  s.a_rows = p.m <= 16 ? 16 : p.m <= 32 ? 32 : 64;
  for (const int rows : skinny_rows) {
    if (rows < 64 && s.a_rows > 16) continue;
    s.rows = rows;
    if (ceil_div(p.n, rows) <= h200_multiprocessors) break;
  }
  s.boxes = s.rows == 32 ? 4 : s.a_rows > 16 ? 2 : 1;
  s.stages = std::min(ring_bytes / skinny_stage_bytes(s), 16);
  return s;
}

std::vector<SkinnySchedule> shipped_skinny_schedules() {
  std::vector<SkinnySchedule> all;
  for (const int64_t m : {16, 32, 64})
    for (const int rows : skinny_rows) {
      Matmul p;
      p.m = m, p.n = rows * 132;
      all.push_back(skinny_schedule(p));
    }
  return all;
}

weft::cuda::KernelSource skinny_source(const SkinnySchedule& s, bool bias,
                                       Matmul::Activation activation) {
  weft::cuda::KernelSource source;
  source.name = "skinny";
  source.text = kernel_text("weft/kernels/cuda/device/skinny.cu");
  source.headers = kernel_headers();
  source.headers.emplace_back("schedule", schedule_text(s));
  source.headers.emplace_back("product", product_text({"product", s.rows, false, false, false}));
  source.headers.emplace_back("epilogue", epilogue_text(bias, activation));
  return source;
}

void skinny_matmul(CudaStream& stream, const Matmul& p, bool constant_weights) {
  check_supported(p);
  WEFT_CHECK(is_skinny(p), "{} is not skinny", shape_of(p));
  if (p.m == 0 || p.n == 0) return;
  const SkinnySchedule s = skinny_schedule(p);
  TensorMap a = operand_map(p.a, false, p.m, p.a.row_stride, p.k, 1, s.a_rows / s.cluster,
                            "A of " + shape_of(p));
  TensorMap w = operand_map(p.b, false, p.n, p.b.col_stride, p.k, 1, s.rows, "B of " + shape_of(p));
  result_map(p);  // refuses what the other schedules refuse
  MatmulArguments arguments{int(p.m), int(p.n), int(p.k), 1, p.bias, nullptr};
  const bool bias = p.bias != nullptr;
  const CudaKernel& kernel = stream.cuda_device().kernel(
      format("skinny {} {} {}", schedule_text(s), bias, int(p.activation)), shared_bytes(s),
      [&] { return skinny_source(s, bias, p.activation); });
  void* c = p.c;
  long long row_stride = p.c_row_stride;
  int constant = constant_weights;
  void* values[] = {&a, &w, &c, &row_stride, &constant, &arguments};
  const unsigned clusters = unsigned(ceil_div(p.n, int64_t(s.rows) * s.cluster));
  kernel.launch(stream, {clusters * unsigned(s.cluster), 1, 1, skinny_threads, true}, values);
}

}  // namespace weft::kernels::cuda
