#include "weft/kernels/cuda/matmul.h"

#include <algorithm>

#include "weft/base/error.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/matmul_checks.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::TensorBoxes;
using weft::cuda::TensorMap;

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

// Rows of A that one copy brings: all of a tile, or as many as leave few behind the last of a small
// A. Rows that are not there are filled with zeros, slower than others are read.
int a_box_rows(int64_t m) {
  constexpr int tile_rows = MatmulSchedule().tile_m;
  if (m > 8 * tile_rows || m % tile_rows == 0) return tile_rows;
  int rows = 64;
  while (rows > 16 && m % rows != 0) rows /= 2;
  return rows;
}

std::string schedule_text(const MatmulSchedule& s) {
  return format(
      "constexpr weft::kernels::cuda::MatmulSchedule s{{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, "
      "{}, {}}};\n",
      s.tile_m, s.tile_n, s.stages, s.cluster, s.group, s.store_units, s.a_turned, s.b_turned,
      s.f32_out, s.accumulate, s.f16, epilogue_text(s.epilogue));
}

}  // namespace

weft::cuda::KernelSource matmul_source(const MatmulSchedule& s) {
  weft::cuda::KernelSource source = kernel_source("matmul");
  source.headers.emplace_back("schedule", schedule_text(s));
  source.headers.emplace_back(
      "wgmma", product_text({"wgmma", s.tile_n, false, s.a_turned, s.b_turned, s.f16}));
  return source;
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
  MatmulArguments arguments = matmul_arguments(p);
  arguments.slabs = matmul_slabs(p);
  arguments.a_box = a_box_rows(p.m);
  TensorMap a = batch_map(p, p.a, s.a_turned, p.m, p.a.row_stride, p.a.col_stride,
                          s.a_turned ? reduced_per_stage : arguments.a_box, "A");
  TensorMap b = batch_map(p, p.b, s.b_turned, p.n, p.b.col_stride, p.b.row_stride, b_share(s), "B");
  TensorMap c = result_map(p);
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
