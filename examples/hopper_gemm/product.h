// C = A B turned, all n x n, in eight steps and by the library's own kernel.
#pragma once
#include <cmath>

#include "examples/hopper_gemm/climb.h"
#include "weft/device/cuda/tensor_map.h"
#include "weft/kernels/cuda/matmul.h"

namespace ladder {

// A tile whose operands are written to shared memory once, and read from there by each warp
// or warpgroup for its part of the sums. Of a cluster, each block reads its share of B.
constexpr Needs staged(Unit unit, double rows, double columns, double part_m, double part_n,
                       double cluster = 1) {
  const double parts = rows * columns / (part_m * part_n);
  return {unit, rows * columns / (rows + columns + parts * (part_m + part_n)),
          rows * columns / (rows + columns / cluster)};
}
// Shared memory and L1 are one memory, of 128 bytes an access. Step 1: 64 operations of a warp for
// 33 accesses, one line for its number of A and 32 for those of B. Step 2: for two. Step 3: 4096
// for six.
constexpr Step product_steps[] = {
    {},
    {"one thread each", {fma_unit, 64 / (33 * 128.0)}, false, "nothing yet"},
    {"shared memory", {fma_unit, 64 / (2 * 128.0), 16}, false, "lines are used whole"},
    {"registers", {fma_unit, 4096 / (6 * 128.0), 64}, false, "16 numbers serve 64 multiply-adds"},
    {"mma.sync", staged(mma_unit, 128, 128, 64, 64), true, "4096 operations an instruction"},
    {"wgmma", staged(wgmma_unit, 128, 128, 64, 128), true, "operands out of shared memory"},
    {"copy engine", staged(wgmma_unit, 128, 128, 64, 128), true, "no thread copies"},
    {"specialised warps", staged(wgmma_unit, 128, 256, 64, 256), true,
     "nobody waits for the block; less to read"},
    {"persistent, clusters", staged(wgmma_unit, 128, 256, 64, 256, 2), true,
     "writing beneath reading; B read once for two"},
    {"Weft's own", staged(wgmma_unit, 128, 192, 64, 192, 2), true,
     "writing beneath multiplying: warpgroups take turns"}};
constexpr int library_step = 9, peer_step = 10;

inline KernelFile product_kernel(int step) {
  constexpr const char* ends[] = {
      "",          "_elements.cu",    "_shared.cu",      "_registers.cu", "_mma.cu",
      "_wgmma.cu", "_copy_engine.cu", "_specialised.cu", "_persistent.cu"};
  const std::string name = weft::format("step{}", step);
  const Shape& s = shapes[step];
  return {name, name + ends[step], s.threads, shared_bytes(s), step >= 5 ? s.tile_n : 0};
}

class Product {
 public:
  explicit Product(CudaDevice& gpu)
      : gpu_(gpu),
        a_(weft::bench::random_bf16(gpu, int64_t(n) * n, 1)),
        b_(weft::bench::random_bf16(gpu, int64_t(n) * n, 2)) {}

  static double operations() { return 2.0 * n * n * n; }

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
    const CudaKernel& kernel = load(gpu_, product_kernel(step));
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
      const auto a = row(a_, (i * 1021 + 3) % n), b = row(b_, (i * 1013 + 7) % n),
                 got = row(c, (i * 1021 + 3) % n);
      double sum = 0;
      for (size_t k = 0; k < size_t(n); ++k) sum += double(a[k]) * double(b[k]);
      const double error = std::abs(sum - double(got[size_t((i * 1013 + 7) % n)]));
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
    std::vector<weft::bf16> values(size_t(n), weft::bf16(0.0f));
    gpu_.copy_to_host(reinterpret_cast<std::byte*>(values.data()), x->data() + int64_t(i) * n * 2,
                      size_t(n) * 2);
    return {values.begin(), values.end()};
  }

  CudaDevice& gpu_;
  weft::BufferPtr a_, b_;
};

}  // namespace ladder
