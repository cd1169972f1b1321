// The GPU's matrix product. Three kinds of tests: what the host can check of tiles and layout; that
// every shipped schedule compiles without spills (needs NVRTC, no GPU); and results on a GPU.
#include "weft/kernels/cuda/matmul.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <set>

#include "tests/expect_error.h"
#include "weft/kernels/cuda/gpu_testing.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/row_testing.h"

namespace weft::kernels::cuda {
namespace {

using testing::normal;

TEST(CudaMatmulTiles, EveryTileIsWalkedOnce) {
  for (const auto& [tiles_m, tiles_n] : {std::pair{1, 1}, {7, 3}, {8, 5}, {33, 9}, {256, 197}}) {
    std::set<std::pair<int, int>> seen;
    for (int i = 0; i < tiles_m * tiles_n; ++i) {
      const TileAt t = tile_at(i, tiles_m, tiles_n, 8);
      ASSERT_TRUE(t.m >= 0 && t.m < tiles_m && t.n >= 0 && t.n < tiles_n);
      ASSERT_TRUE(seen.insert({t.m, t.n}).second) << i;
    }
  }
}

TEST(CudaMatmulTiles, PiecesCoverEveryStepInAscendingOrder) {
  for (const auto& [tiles, slabs, steps] : {std::array{27, 22, 1024}, {5, 3, 7}, {1, 64, 1025}}) {
    std::vector<int> reached(size_t(tiles), 0), slab(size_t(tiles), 0);
    for (int i = 0; i < tiles * slabs; ++i) {
      const Piece p = piece_at(i, tiles, slabs, steps);
      // The slab before this one belongs to a lower piece: waiting for it always ends.
      EXPECT_EQ(p.slab, slab[size_t(p.tile)]++);
      EXPECT_EQ(p.step_begin, reached[size_t(p.tile)]);
      EXPECT_GT(p.step_end, p.step_begin);
      reached[size_t(p.tile)] = p.step_end;
    }
    for (const int end : reached) EXPECT_EQ(end, steps);
  }
}

TEST(CudaLayout, SwizzleIsAPermutationThatSpreadsColumnsOverBanks) {
  std::set<int> offsets;
  for (int row = 0; row < 16; ++row)
    for (int chunk = 0; chunk < 8; ++chunk) {
      const int at = swizzled_offset(row, chunk);
      EXPECT_EQ(at / row_bytes, row);
      EXPECT_EQ(at % chunk_bytes, 0);
      offsets.insert(at);
    }
  EXPECT_EQ(offsets.size(), 16u * 8);
  for (int chunk = 0; chunk < 8; ++chunk) {
    std::set<int> banks;
    for (int row = 0; row < 8; ++row) banks.insert(swizzled_offset(row, chunk) % row_bytes);
    EXPECT_EQ(banks.size(), 8u);
  }
}

TEST(CudaLayout, DescriptorFields) {
  const unsigned long long plain = operand_descriptor(0x12340, false);
  EXPECT_EQ(plain & 0x3fff, 0x1234u);
  EXPECT_EQ(plain >> 32 & 0x3fff, 64u);  // 8 rows of 128 bytes
  EXPECT_EQ(plain >> 62, 1u);
  EXPECT_EQ(operand_descriptor(0x12340, true) >> 16 & 0x3fff, 512u);  // boxes of 64 by 64
  EXPECT_EQ(descriptor_step(false), 2);
  EXPECT_EQ(descriptor_step(true), 128);
}

TEST(CudaMatmulSchedules, FitTheMultiprocessor) {
  constexpr int shared_limit = 232448;
  for (const MatmulSchedule& s : shipped_matmul_schedules()) {
    EXPECT_LE(shared_bytes(s), shared_limit);
    EXPECT_EQ(s.tile_n % 64, 0);
  }
}

TEST(CudaMatmulSchedules, CompileWithoutSpillsOrSerialisedInstructions) {
  NEEDS_COMPILER();
  for (const MatmulSchedule& s : shipped_matmul_schedules())
    if (!s.f32_out || s.accumulate)  // adding and storing differ in one instruction
      expect_tight(matmul_source(s, false, Matmul::none), 168);
}

TEST(CudaMatmulSchedules, SkinnyOnesCompileWithoutSpills) {
  NEEDS_COMPILER();
  const weft::cuda::KernelCache cache(weft::cuda::KernelCache::default_folder());
  for (const SkinnySchedule& s : shipped_skinny_schedules()) {
    EXPECT_LE(shared_bytes(s), 232448);
    EXPECT_GE(s.stages, 4);
    const auto binary = weft::cuda::compile(skinny_source(s, true, Matmul::gelu_tanh), cache);
    EXPECT_EQ(binary.report.spill_bytes, 0) << binary.log;
  }
}

TEST(CudaMatmulSchedules, FusedEpilogueCompilesWithoutSpills) {
  NEEDS_COMPILER();
  for (const int tile_n : {128, 192}) {
    MatmulSchedule s;
    s.tile_n = tile_n;
    expect_tight(matmul_source(s, true, Matmul::gelu_tanh), 168);
  }
}

// ---- on a GPU

class CudaMatmul : public OnHopper {};

constexpr int64_t round8(int64_t n) {
  return (n + 7) / 8 * 8;
}
// Rows of C: 16 bytes longer than the copy engine writes.
constexpr int64_t c_row(int64_t n) {
  return round8(n) + 8;
}

// One product with its operands on the host; rows are padded to multiples of 8 elements.
struct Case {
  int64_t m, n, k;
  bool a_turned = false, b_turned = false, f32 = false, add = false, bias = false, gelu = false;
  std::vector<bf16> a{}, b{}, bias_values{};
  std::vector<float> start{};

  void fill(int seed) {
    a = normal<bf16>(a_turned ? k * round8(m) : m * round8(k), uint64_t(seed));
    b = normal<bf16>(b_turned ? k * round8(n) : n * round8(k), uint64_t(seed) + 1);
    bias_values = normal<bf16>(n, uint64_t(seed) + 2);
    start = normal<float>(m * c_row(n), uint64_t(seed) + 3);
  }
  Matmul params() const {
    Matmul p;
    p.m = m, p.n = n, p.k = k;
    p.out = f32 ? DType::f32 : DType::bf16;
    p.a = a_turned ? MatmulOperand{a.data(), 1, round8(m)} : MatmulOperand{a.data(), round8(k), 1};
    p.b = b_turned ? MatmulOperand{b.data(), round8(n), 1} : MatmulOperand{b.data(), 1, round8(k)};
    p.c_row_stride = c_row(n);
    p.accumulate = add;
    if (bias) p.bias = bias_values.data();
    if (gelu) p.activation = Matmul::gelu_tanh;
    return p;
  }
  std::string name() const {
    return format("{}x{}x{}{}{}{}{}{}{}", m, n, k, a_turned ? " A turned" : "",
                  b_turned ? " B turned" : "", f32 ? " f32" : "", add ? " add" : "",
                  bias ? " bias" : "", gelu ? " gelu" : "");
  }
};

template <class Out>
std::vector<Out> on_gpu(CudaDevice& gpu, const Case& x, const MatmulSchedule* schedule = nullptr) {
  Matmul p = x.params();
  const BufferPtr a = upload(gpu, x.a), b = upload(gpu, x.b), bias = upload(gpu, x.bias_values);
  // Poisoned with NaN where it is not the start of a sum.
  std::vector<Out> c(x.start.size());
  std::memset(static_cast<void*>(c.data()), 0xff, c.size() * sizeof(Out));
  if (x.add)
    for (size_t i = 0; i < c.size(); ++i) c[i] = Out(x.start[i]);
  const BufferPtr out = upload(gpu, c);
  const MatmulSchedule s = schedule ? *schedule : matmul_schedule(p, gpu.multiprocessors());
  const BufferPtr scratch = gpu.allocate(matmul_scratch_bytes(p, s));
  p.a.data = a->data(), p.b.data = b->data(), p.c = out->data(), p.scratch = scratch->data();
  if (p.bias) p.bias = bias->data();
  matmul(gpu.stream(), p, s);
  return download<Out>(gpu, out, c.size());
}

// |got - want| / |want| over the elements of C, and that nothing beside them was written.
template <class Out>
double error_of(const Case& x, const std::vector<Out>& got) {
  std::vector<double> a(x.a.size()), b(x.b.size()), bias(x.bias_values.size());
  for (size_t i = 0; i < a.size(); ++i) a[i] = double(float(x.a[i]));
  for (size_t i = 0; i < b.size(); ++i) b[i] = double(float(x.b[i]));
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = double(float(x.bias_values[i]));
  Matmul p = x.params();
  p.in = p.out = DType::f64;
  p.a.data = a.data(), p.b.data = b.data();
  if (p.bias) p.bias = bias.data();
  std::vector<double> want(x.start.begin(), x.start.end());
  p.c = want.data();
  ref::matmul<double>(p);
  double difference = 0, size = 0;
  for (int64_t i = 0; i < x.m; ++i)
    for (int64_t j = 0; j < c_row(x.n); ++j) {
      const size_t at = size_t(i * c_row(x.n) + j);
      if (j >= round8(x.n)) {
        EXPECT_TRUE(x.add ? float(got[at]) == x.start[at] : std::isnan(float(got[at])))
            << x.name() << ": wrote outside of C";
      }
      if (j >= x.n) continue;
      difference += std::pow(double(float(got[at])) - want[at], 2);
      size += std::pow(want[at], 2);
    }
  return std::sqrt(difference / std::max(size, 1e-30));
}

void expect_right(CudaDevice& gpu, Case x) {
  x.fill(int(x.m * 3 + x.n * 5 + x.k));
  if (x.f32) {
    const auto got = on_gpu<float>(gpu, x);
    EXPECT_LT(error_of(x, got), 2e-6 * std::sqrt(double(x.k)) + 1e-6) << x.name();
    EXPECT_TRUE(same_bits(got, on_gpu<float>(gpu, x))) << x.name() << ": two runs differ";
  } else {
    const auto got = on_gpu<bf16>(gpu, x);
    EXPECT_LT(error_of(x, got), 3e-3) << x.name();
    EXPECT_TRUE(same_bits(got, on_gpu<bf16>(gpu, x))) << x.name() << ": two runs differ";
  }
}

TEST_F(CudaMatmul, EqualsTheReferenceOverOddShapes) {
  const std::array<int64_t, 3> shapes[] = {{1, 1, 1},       {1, 8, 16},      {3, 5, 7},
                                           {64, 256, 64},   {128, 256, 64},  {129, 257, 65},
                                           {300, 200, 500}, {257, 511, 129}, {1, 700, 300},
                                           {1000, 1, 333},  {513, 640, 1}};
  for (const auto& [m, n, k] : shapes)
    for (const bool a_turned : {false, true})
      for (const bool b_turned : {false, true}) {
        Case x{m, n, k, a_turned, b_turned};
        expect_right(*gpu_, x);
        x.f32 = x.add = true;
        expect_right(*gpu_, x);
      }
}

TEST_F(CudaMatmul, LongSumsInSlabsEqualTheReference) {
  for (const bool add : {false, true})
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{140, 300, 9000}, {7, 9, 4111}}) {
      Case x{m, n, k, true, true, true, add};
      EXPECT_GT(matmul_slabs(x.params()), 1);
      expect_right(*gpu_, x);
    }
}

TEST_F(CudaMatmul, BitsOfSumsInSlabsDoNotDependOnTheSchedule) {
  Case x{140, 300, 9000, true, true, true, true};
  x.fill(13);
  const std::vector<float> shipped = on_gpu<float>(*gpu_, x);
  for (const int tile_n : {64, 128, 192}) {
    MatmulSchedule s = matmul_schedule(x.params(), gpu_->multiprocessors());
    s.tile_n = tile_n, s.stages = 4;
    EXPECT_TRUE(same_bits(on_gpu<float>(*gpu_, x, &s), shipped)) << tile_n;
  }
}

TEST_F(CudaMatmul, FusedBiasAndGeluEqualTheReference) {
  for (const bool gelu : {false, true}) {
    Case x{333, 515, 200};
    x.bias = true, x.gelu = gelu;
    expect_right(*gpu_, x);
  }
}

// A row of C has the same bits alone and in any batch, with any tile and cluster.
TEST_F(CudaMatmul, BitsDoNotDependOnTheBatchOrTheSchedule) {
  Case all{1000, 520, 777};
  all.fill(7);
  const std::vector<bf16> whole = on_gpu<bf16>(*gpu_, all);
  for (const int64_t rows : {1, 64, 130, 999}) {
    Case some = all;
    some.m = rows;
    some.start.resize(size_t(rows * c_row(all.n)));
    const std::vector<bf16> part = on_gpu<bf16>(*gpu_, some);
    EXPECT_EQ(std::memcmp(part.data(), whole.data(), part.size() * sizeof(bf16)), 0) << rows;
  }
  for (const int tile_n : {64, 128, 192})
    for (const int cluster : {1, 2}) {
      MatmulSchedule s;
      s.tile_n = tile_n, s.cluster = cluster;
      EXPECT_TRUE(same_bits(on_gpu<bf16>(*gpu_, all, &s), whole)) << tile_n << " " << cluster;
    }
}

// Few rows through the skinny product: the bits of the same rows in a large one.
TEST_F(CudaMatmul, FewRowsHaveTheBitsOfMany) {
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{520, 777},
                             {4096, 1024},
                             {4300, 2100},
                             {14000, 200},
                             {9, 1},
                             {33, 64}})
    for (const bool fused : {false, true}) {
      Case all{200, n, k};
      all.bias = all.gelu = fused;
      all.fill(int(n));
      const std::vector<bf16> whole = on_gpu<bf16>(*gpu_, all);
      for (const int64_t rows : {1, 8, 9, 16, 17, 32, 33, 64}) {
        Case some = all;
        some.m = rows;
        const Matmul host = some.params();
        ASSERT_TRUE(is_skinny(host));
        const BufferPtr a = upload(*gpu_, some.a), b = upload(*gpu_, some.b),
                        bias = upload(*gpu_, some.bias_values),
                        c = upload(*gpu_, std::vector<bf16>(whole.size(), bf16(std::nanf(""))));
        for (const bool constant : {false, true}) {
          Matmul p = host;
          p.a.data = a->data(), p.b.data = b->data(), p.c = c->data();
          if (fused) p.bias = bias->data();
          skinny_matmul(gpu_->stream(), p, constant);
          const std::vector<bf16> got = download<bf16>(*gpu_, c, whole.size());
          for (int64_t i = 0; i < rows; ++i)
            ASSERT_EQ(std::memcmp(&got[size_t(i * c_row(n))], &whole[size_t(i * c_row(n))],
                                  size_t(n) * sizeof(bf16)),
                      0)
                << rows << " rows, row " << i << ", " << n << " columns, k " << k;
          for (size_t i = size_t(rows * c_row(n)); i < got.size(); ++i)
            ASSERT_TRUE(std::isnan(float(got[i]))) << "wrote outside of C";
        }
      }
    }
}

// Many tiles for each multiprocessor and little to multiply: writing is what takes the time, and
// staging that is reused too early would show.
TEST_F(CudaMatmul, StagingIsNotReusedTooEarly) {
  for (const auto& [tile_n, store_units] : {std::pair{192, 1}, {192, 2}, {128, 2}, {64, 2}}) {
    Case x{16384, 1536, 64};
    x.fill(11);
    MatmulSchedule s, plain;
    s.tile_n = tile_n, s.store_units = store_units, s.stages = 4;
    plain.tile_n = 64, plain.stages = 2;
    EXPECT_TRUE(same_bits(on_gpu<bf16>(*gpu_, x, &s), on_gpu<bf16>(*gpu_, x, &plain)))
        << tile_n << " " << store_units;
  }
}

TEST_F(CudaMatmul, NanAndInfinityPropagate) {
  Case x{130, 40, 70};
  x.fill(3);
  x.a[size_t(5 * round8(x.k) + 3)] = bf16(std::nanf(""));
  x.a[size_t(9 * round8(x.k) + 3)] = bf16(HUGE_VALF);
  const std::vector<bf16> c = on_gpu<bf16>(*gpu_, x);
  for (int64_t j = 0; j < x.n; ++j) {
    EXPECT_TRUE(std::isnan(float(c[size_t(5 * c_row(x.n) + j)])));
    EXPECT_TRUE(std::isinf(float(c[size_t(9 * c_row(x.n) + j)])));
    EXPECT_TRUE(std::isfinite(float(c[size_t(6 * c_row(x.n) + j)])));
  }
}

TEST_F(CudaMatmul, WhatItCannotTakeIsRefusedByName) {
  Case x{16, 16, 20};
  x.fill(1);
  Matmul p = x.params();
  const BufferPtr bytes = gpu_->allocate(1 << 16);
  p.a.data = p.b.data = p.c = bytes->data();
  p.a.row_stride = 20;
  EXPECT_ERROR(user, "multiples of 8", matmul(gpu_->stream(), p));
  p = x.params();
  p.activation = Matmul::times_slope;
  EXPECT_ERROR(user, "this activation", matmul(gpu_->stream(), p));
  p = x.params();
  p.accumulate = true;
  EXPECT_ERROR(user, "f32 only", matmul(gpu_->stream(), p));
}

}  // namespace
}  // namespace weft::kernels::cuda
