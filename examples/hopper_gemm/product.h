// C = A B turned, all n x n, in eight steps and by the library's own kernel.
#pragma once
#include <cmath>

#include "examples/hopper_gemm/climb.h"
#include "weft/device/cuda/tensor_map.h"
#include "weft/kernels/cuda/matmul.h"

namespace ladder {

// Operations for each byte that a tile reads through L2.
constexpr double per_l2_byte(double tile_m, double tile_n) {
  return tile_m * tile_n / (tile_m + tile_n);
}
// Shared memory and L1 are one memory, of 128 bytes an access. Step 1: 64 operations of a warp for
// 33 accesses, one line for its number of A and 32 for those of B; step 2: for two. Step 3: 128 for
// each four accesses. mma.sync: 16 of k of a warp's 64 x 32; wgmma: of 64 x tile_n.
constexpr Step product_steps[] = {
    {},
    {"one thread each", {fma_unit, 64 / (33 * 128.0)}, false, "nothing yet"},
    {"shared memory",
     {fma_unit, 64 / (2 * 128.0), per_l2_byte(32, 32)},
     false,
     "lines of device memory are used whole"},
    {"registers",
     {fma_unit, 32 * 128 / (6 * 128.0), per_l2_byte(128, 128)},
     false,
     "16 numbers serve 64 multiply-adds"},
    {"mma.sync",
     {mma_unit, 64 * 32 * 2 / (96 * 2.0), per_l2_byte(128, 128)},
     true,
     "4096 operations in an instruction of a warp"},
    {"wgmma",
     {wgmma_unit, 64 * 128 * 2 / (192 * 2.0), per_l2_byte(128, 128)},
     true,
     "operands straight from shared memory"},
    {"copy engine",
     {wgmma_unit, 64 * 128 * 2 / (192 * 2.0), per_l2_byte(128, 128)},
     true,
     "no thread copies; products overlap"},
    {"specialised warps",
     {wgmma_unit, 64 * 256 * 2 / (320 * 2.0), per_l2_byte(128, 256)},
     true,
     "nobody waits for the block; a third less to read"},
    {"persistent, clusters",
     {wgmma_unit, 64 * 256 * 2 / (320 * 2.0), per_l2_byte(256, 256)},
     true,
     "writing beneath reading; B read once for two"},
    {"Weft's own",
     {wgmma_unit, 64 * 192 * 2 / (256 * 2.0), per_l2_byte(256, 192)},
     true,
     "writing beneath multiplying: warpgroups take tiles in turn"}};
constexpr int library_step = 9;

class Product {
 public:
  explicit Product(CudaDevice& gpu)
      : gpu_(gpu),
        a_(weft::bench::random_bf16(gpu, int64_t(n) * n, 1)),
        b_(weft::bench::random_bf16(gpu, int64_t(n) * n, 2)) {}

  static constexpr double operations = 2.0 * n * n * n;

  weft::kernels::Matmul params(std::byte* c) const {
    weft::kernels::Matmul p;
    p.m = p.n = p.k = n;
    p.a = {a_->data(), n, 1}, p.b = {b_->data(), 1, n};
    p.c = c, p.c_row_stride = n;
    return p;
  }
  Run library() const {
    return [this](std::byte* c) { weft::kernels::cuda::matmul(gpu_.stream(), params(c)); };
  }
  // Step 9 is the library's.
  Run run(int step) const {
    if (step == library_step) return library();
    const Shape s = shapes[step];
    const CudaKernel& kernel = load(gpu_, product_kernels[step]);
    const int x = n / s.tile_n, y = n / s.tile_m;
    if (step < 6)
      return [this, s, x, y, &kernel](std::byte* c) {
        launch(gpu_.stream(), kernel, s.threads, x, y, 1, a_->data(), b_->data(), c);
      };
    const auto a = map(a_, s.tile_m), b = map(b_, s.tile_n / s.cluster);
    const bool persistent = s.cluster > 1;
    const int blocks = gpu_.multiprocessors() / s.cluster * s.cluster;
    return [this, s, a, b, persistent, blocks, x, y, &kernel](std::byte* c) {
      launch(gpu_.stream(), kernel, s.threads, persistent ? blocks : x, persistent ? 1 : y, 1, a, b,
             c);
    };
  }

  // Some numbers of a result against sums in f64.
  void check(const weft::BufferPtr& c) const {
    for (int i = 0; i < 8; ++i) {
      const auto a = row(a_, i * 1171 + 3), b = row(b_, i * 1013 + 7), got = row(c, i * 1171 + 3);
      double sum = 0;
      for (size_t k = 0; k < n; ++k) sum += double(a[k]) * double(b[k]);
      const double error = std::abs(sum - double(got[size_t(i * 1013 + 7)]));
      WEFT_CHECK(error < 2e-2 + 4e-3 * std::abs(sum), "{} away from the sum in f64, {}", error,
                 sum);
    }
  }

 private:
  static weft::cuda::TensorMap map(const weft::BufferPtr& x, int rows) {
    weft::cuda::TensorBoxes boxes;
    boxes.data = x->data();
    boxes.sizes = {n, n}, boxes.strides = {1, n}, boxes.box = {64, rows};
    return weft::cuda::make_tensor_map(boxes, "an operand");
  }
  std::vector<float> row(const weft::BufferPtr& x, int i) const {
    std::vector<weft::bf16> values(n);
    gpu_.copy_to_host(reinterpret_cast<std::byte*>(values.data()), x->data() + size_t(i) * n * 2,
                      n * 2);
    return {values.begin(), values.end()};
  }

  CudaDevice& gpu_;
  weft::BufferPtr a_, b_;
};

}  // namespace ladder
