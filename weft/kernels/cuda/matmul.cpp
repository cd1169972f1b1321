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

// C, or what lies beside it. The halves of SwiGLU's are matrices, so that one ends where the other
// begins.
TensorMap result_map(const Matmul& p, const void* data, int64_t row_stride, int64_t batch_stride,
                     bool halves, const char* name) {
  TensorBoxes boxes;
  boxes.element = element_of(p.out);
  boxes.data = data;
  boxes.rank = 3;
  const int64_t columns = p.activation == Matmul::swiglu ? p.n / 2 : p.n;
  boxes.sizes = {columns, p.m, halves ? 2 : p.batch, 1};
  boxes.strides = {1, row_stride, halves ? columns : batch_stride, 1};
  boxes.box = {p.out == DType::f32 ? 32 : 64, rows_per_warp, 1, 1};
  return weft::cuda::make_tensor_map(boxes, format("{} of {}", name, matmul_name(p)));
}

struct ResultMaps {
  TensorMap c, slope, residual;  // what there is not is C
};
ResultMaps result_maps(const Matmul& p) {
  const bool gradient = p.activation == Matmul::swiglu_gradient, halves = is_swiglu(epilogue_of(p));
  const TensorMap c = result_map(p, p.c, p.c_row_stride, p.c_batch_stride, gradient, "C");
  ResultMaps maps{c, c, c};
  if (p.slope)
    maps.slope = result_map(p, p.slope, halves ? p.slope_row_stride : p.c_row_stride,
                            p.c_batch_stride, halves, "slope");
  if (p.residual)
    maps.residual = result_map(p, p.residual, p.residual_row_stride, p.residual_batch_stride, false,
                               "residual");
  return maps;
}

// Rows of A that one copy brings: all of a share, or as many as leave few behind the last of a
// small A. Rows that are not there are filled with zeros, slower than others are read.
int a_box_rows(int64_t m, int share) {
  if (m > 1024 || m % share == 0) return share;
  int rows = std::min(share, 64);
  while (rows > 16 && m % rows != 0) rows /= 2;
  return rows;
}

std::string schedule_text(const MatmulSchedule& s) {
  return format(
      "constexpr weft::kernels::cuda::MatmulSchedule s{{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, "
      "{}, {}, {}}};\n",
      s.tile_m, s.tile_n, s.stages, s.cluster_m, s.cluster_n, s.group, s.store_units, s.a_turned,
      s.b_turned, s.f32_out, s.accumulate, s.f16, epilogue_text(s.epilogue));
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
  return size_t(p.batch * cluster_tiles(p, s) * cluster_size(s) * warps_per_tile) * sizeof(int);
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
  arguments.a_box = s.a_turned ? a_share(s) : a_box_rows(p.m, a_share(s));
  TensorMap a =
      batch_map(p, p.a, s.a_turned, p.m, p.a.row_stride, p.a.col_stride, arguments.a_box, "A");
  TensorMap b = batch_map(p, p.b, s.b_turned, p.n, p.b.col_stride, p.b.row_stride, b_box(s), "B");
  ResultMaps results = result_maps(p);
  if (arguments.slabs > 1) {
    WEFT_CHECK(p.scratch != nullptr, "{} wants scratch", matmul_name(p));
    stream.fill(static_cast<std::byte*>(p.scratch), 0, matmul_scratch_bytes(p, s));
  }
  const std::string text = schedule_text(s);
  const CudaKernel& kernel =
      device.kernel("matmul " + text, shared_bytes(s), [&] { return matmul_source(s); });
  const int64_t workers = device.multiprocessors() / cluster_size(s);
  const int64_t clusters =
      std::min(workers, p.batch * cluster_tiles(p, s) * int64_t(arguments.slabs));
  TensorMap& read = p.residual ? results.residual : results.slope;
  void* values[] = {&a, &b, &results.c, &results.slope, &read, &arguments};
  kernel.launch(stream, {unsigned(clusters * cluster_size(s)), 1, 1, block_threads}, values);
}

}  // namespace weft::kernels::cuda
