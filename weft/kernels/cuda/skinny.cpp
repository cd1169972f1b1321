// The matrix product with few rows; declared in matmul.h.
#include <algorithm>

#include "weft/base/error.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/matmul.h"
#include "weft/kernels/cuda/matmul_checks.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::TensorBoxes;
using weft::cuda::TensorMap;

constexpr int skinny_rows[] = {32, 64, 96, 112, 128};  // of W, for one CTA

std::string schedule_text(const SkinnySchedule& s) {
  return format("constexpr weft::kernels::cuda::SkinnySchedule s{{{}, {}, {}, {}, {}, {}}};\n",
                s.rows, s.a_rows, s.boxes, s.stages, s.f16, epilogue_text(s.epilogue));
}

// Boxes of `box_rows` rows by 64 of k.
TensorMap row_map(const Matmul& p, const void* data, int64_t rows, int64_t row_stride, int box_rows,
                  const char* name) {
  TensorBoxes boxes;
  boxes.element = element_of(p.in);
  boxes.data = data;
  boxes.sizes = {p.k, rows, 1, 1}, boxes.strides = {1, row_stride, 1, 1};
  boxes.box = {64, box_rows, 1, 1};
  return weft::cuda::make_tensor_map(boxes, format("{} of {}", name, matmul_name(p)));
}

SkinnyResults results_of(const Matmul& p) {
  using Half = unsigned short;
  return {static_cast<Half*>(p.c),
          static_cast<Half*>(p.slope),
          static_cast<const Half*>(p.residual),
          p.c_row_stride,
          p.activation == Matmul::swiglu ? p.slope_row_stride : p.c_row_stride,
          p.residual_row_stride};
}

}  // namespace

bool is_skinny(const Matmul& p) {
  return p.m <= 64 && p.batch == 1 && p.a.col_stride == 1 && p.b.row_stride == 1 && p.out == p.in &&
         p.activation != Matmul::swiglu_gradient;
}

// As many rows of W as leave a CTA for every multiprocessor of an H200, and all of its memory as
// the ring: with two CTAs each, and half a ring, reading is up to a third slower. More of A is read
// than by clusters that share it, but no CTA waits for another.
SkinnySchedule skinny_schedule(const Matmul& p) {
  constexpr int64_t h200_multiprocessors = 132;
  SkinnySchedule s;
  s.a_rows = p.m <= 16 ? 16 : p.m <= 32 ? 32 : 64;
  for (const int rows : skinny_rows) {
    s.rows = rows;
    if (ceil_div(p.n, rows) <= h200_multiprocessors) break;
  }
  s.boxes = s.rows == 32 ? 2 : 1;
  s.stages = skinny_stages(s);
  s.f16 = p.in == DType::f16;
  s.epilogue = epilogue_of(p);
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

weft::cuda::KernelSource skinny_source(const SkinnySchedule& s) {
  weft::cuda::KernelSource source = kernel_source("skinny");
  source.headers.emplace_back("schedule", schedule_text(s));
  source.headers.emplace_back("product",
                              product_text({"product", s.rows, false, false, false, s.f16}));
  return source;
}

void skinny_matmul(CudaStream& stream, const Matmul& p, bool constant_weights) {
  skinny_matmul(stream, p, skinny_schedule(p), constant_weights);
}

void skinny_matmul(CudaStream& stream, const Matmul& p, const SkinnySchedule& s,
                   bool constant_weights) {
  check_matmul(p);
  WEFT_CHECK(is_skinny(p), "{} is not skinny", matmul_name(p));
  if (p.m == 0 || p.n == 0) return;
  TensorMap a = row_map(p, p.a.data, p.m, p.a.row_stride, int(p.m), "A");
  TensorMap w = row_map(p, p.b.data, p.n, p.b.col_stride, result_columns(s), "B");
  MatmulArguments arguments = matmul_arguments(p);
  const CudaKernel& kernel = stream.cuda_device().kernel(
      "skinny " + schedule_text(s), shared_bytes(s), [&] { return skinny_source(s); });
  SkinnyResults results = results_of(p);
  int constant = constant_weights;
  void* values[] = {&a, &w, &results, &constant, &arguments};
  kernel.launch(stream, {unsigned(ceil_div(p.n, s.rows)), 1, 1, skinny_threads, true}, values);
}

}  // namespace weft::kernels::cuda
