// The GPU's matrix product: what the host can check of tiles and layout, and results on a GPU.
#include "weft/kernels/cuda/matmul.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <set>

#include "tests/expect_error.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/matmul_checks.h"
#include "weft/kernels/cuda/matmul_testing.h"

namespace weft::kernels::cuda {
namespace {

using Case = Product<bf16>;

TEST(CudaMatmulTiles, EveryTileOfEveryMatrixIsWalkedOnce) {
  for (const auto& [tiles_m, tiles_n] : {std::pair{1, 1}, {7, 3}, {8, 5}, {33, 9}, {256, 197}}) {
    std::set<std::array<int, 3>> seen;
    for (int i = 0; i < 3 * tiles_m * tiles_n; ++i) {
      const TileAt t = tile_at(i, tiles_m, tiles_n, 8);
      ASSERT_TRUE(t.m >= 0 && t.m < tiles_m && t.n >= 0 && t.n < tiles_n);
      ASSERT_EQ(t.batch, i / (tiles_m * tiles_n));
      ASSERT_TRUE(seen.insert({t.m, t.n, t.batch}).second) << i;
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

// What an H200 was measured to be best at, where it matters.
TEST(CudaMatmulSchedules, TheEstimateRanksAsMeasured) {
  struct Best {
    int64_t m, n, k;
    int tile_m, tile_n, cluster_m, cluster_n;
  };
  for (const Best& best :
       {Best{96, 4096, 14336, 64, 64, 1, 2}, Best{128, 4096, 4096, 64, 64, 1, 2},
        Best{128, 14336, 4096, 128, 128, 1, 1}, Best{192, 4096, 4096, 64, 128, 2, 1},
        Best{192, 14336, 4096, 192, 128, 1, 1}, Best{256, 4096, 14336, 64, 128, 2, 1},
        Best{512, 4096, 4096, 128, 128, 2, 1}, Best{4096, 4096, 4096, 128, 128, 2, 1},
        Best{8192, 4096, 14336, 128, 128, 2, 1}, Best{8192, 8192, 8192, 128, 192, 2, 1},
        Best{65536, 2304, 768, 128, 192, 2, 1}}) {
    Matmul p;
    p.m = best.m, p.n = best.n, p.k = best.k;
    p.a.row_stride = p.b.col_stride = p.k, p.b.row_stride = 1;
    MatmulSchedule s = matmul_schedule(p, 132);
    EXPECT_EQ((std::array{s.tile_m, s.tile_n, s.cluster_m, s.cluster_n}),
              (std::array{best.tile_m, best.tile_n, best.cluster_m, best.cluster_n}))
        << best.m << " " << best.n << " " << best.k;
    p.residual = &p;  // takes the registers of full tiles
    s = matmul_schedule(p, 132);
    EXPECT_LT(s.tile_m * s.tile_n, 128 * 192);
  }
}

// ---- on a GPU

class CudaMatmul : public OnHopper {};

TEST_F(CudaMatmul, EqualsTheReferenceOverOddShapes) {
  const std::array<int64_t, 3> shapes[] = {
      {1, 1, 1},      {1, 8, 16},      {3, 5, 7},       {64, 256, 64}, {128, 256, 64},
      {129, 257, 65}, {300, 200, 500}, {257, 511, 129}, {1, 700, 300}, {1000, 1, 333},
      {513, 640, 1},  {96, 300, 200},  {192, 64, 129}};
  for (const auto& [m, n, k] : shapes)
    for (const bool a_turned : {false, true})
      for (const bool b_turned : {false, true}) {
        Case x{m, n, k, a_turned, b_turned};
        expect_right<bf16>(*gpu_, x);
        x.f32 = x.add = true;
        expect_right<float>(*gpu_, x);
      }
}

TEST_F(CudaMatmul, LongSumsInSlabsEqualTheReference) {
  for (const bool add : {false, true})
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{140, 300, 9000}, {7, 9, 4111}}) {
      Case x{m, n, k, true, true, true, add};
      EXPECT_GT(matmul_slabs(x.params()), 1);
      expect_right<float>(*gpu_, x);
    }
}

TEST_F(CudaMatmul, BitsOfSumsInSlabsDoNotDependOnTheSchedule) {
  Case x{140, 300, 9000, true, true, true, true};
  x.fill(13);
  const std::vector<float> shipped = on_gpu<float>(*gpu_, x).c;
  for (const int tile_n : {64, 128, 192}) {
    MatmulSchedule s = matmul_schedule(x.params(), gpu_->multiprocessors());
    s.tile_n = tile_n, s.stages = 4;
    EXPECT_TRUE(same_bits(on_gpu<float>(*gpu_, x, &s).c, shipped)) << tile_n;
  }
}

// What a product is followed by in training and serving.
template <class T>
std::vector<Product<T>> with_epilogues(const Product<T>& plain) {
  std::vector<Product<T>> all(9, plain);
  all[0].bias = true;
  all[1].bias = all[1].gelu = true;
  all[2].bias = all[2].keep = all[2].gelu = true;
  all[3].times = true;
  all[4].residual = true;
  all[5].bias = all[5].residual = true;
  all[6].scale = 0.3f, all[6].bias = true;
  all[7].scale = -2, all[7].times = true;
  all[8].scale = 0.125f;
  return all;
}

// Gates and ups take what they have in front of n columns, the gradient as it is.
template <class T>
std::vector<Product<T>> with_swiglu(const Product<T>& plain) {
  std::vector<Product<T>> all(4, plain);
  all[0].swiglu = true;
  all[1].swiglu = all[1].keep = true;
  all[2].swiglu = all[2].keep = all[2].bias = true, all[2].scale = 0.5f;
  all[3].swiglu_gradient = true;
  return all;
}

template <class T>
std::vector<Product<T>> with_all_epilogues(const Product<T>& plain) {
  std::vector<Product<T>> all = with_epilogues(plain);
  for (const Product<T>& x : with_swiglu(plain)) all.push_back(x);
  return all;
}

TEST_F(CudaMatmul, EpiloguesEqualTheReference) {
  for (Case x : with_epilogues(Case{333, 515, 200})) {
    expect_right<bf16>(*gpu_, x);
    x.f32 = true;  // a cast: sums, and what follows, in f32
    expect_right<float>(*gpu_, x);
  }
  for (const Case& x : with_epilogues(Case{129, 1, 40, false, true})) expect_right<bf16>(*gpu_, x);
}

TEST_F(CudaMatmul, SwigluAndItsGradientEqualTheReference) {
  for (const auto& [m, n, k] :
       {std::array<int64_t, 3>{333, 528, 200}, {129, 16, 40}, {1, 144, 7}, {260, 256, 129}})
    for (const bool turned : {false, true})
      for (Case x : with_swiglu(Case{m, n, k, false, turned})) {
        expect_right<bf16>(*gpu_, x);
        x.f32 = true;
        expect_right<float>(*gpu_, x);
      }
  for (const Product<f16>& x : with_swiglu(Product<f16>{130, 272, 100}))
    expect_right<f16>(*gpu_, x);
}

// Slopes are derivatives: in f32, beside differences of results whose biases differ.
TEST_F(CudaMatmul, SwigluKeepsItsDerivatives) {
  constexpr int64_t k = 16, half = 8;
  Case x{3, 2 * half, k};
  x.swiglu = x.keep = x.f32 = x.bias = true;
  x.fill(23);
  const Result<float> at = on_gpu<float>(*gpu_, x);
  for (int64_t j = 0; j < x.n; ++j) {
    Case up = x, down = x;
    constexpr float step = 1.0f / 64;  // in bf16 too
    up.bias_values[size_t(j)] = bf16(1 + step), down.bias_values[size_t(j)] = bf16(1 - step);
    Case middle = x;
    middle.bias_values[size_t(j)] = bf16(1.0f);
    const auto slope = on_gpu<float>(*gpu_, middle).slope;
    const auto high = on_gpu<float>(*gpu_, up).c, low = on_gpu<float>(*gpu_, down).c;
    for (int64_t i = 0; i < x.m; ++i) {
      const size_t c = size_t(i * c_row(half) + j % half);
      EXPECT_NEAR((high[c] - low[c]) / (2 * step), slope[size_t(i * c_row(x.n) + j)], 2e-3) << j;
    }
  }
}

TEST_F(CudaMatmul, BatchesEqualTheReference) {
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{130, 200, 70}, {1, 9, 65}, {257, 64, 300}})
    for (const bool turned : {false, true})
      for (const bool one_b : {false, true}) {
        Case x{m, n, k, turned, turned};
        x.batch = 5, x.one_b = one_b;
        expect_right<bf16>(*gpu_, x);
        x.residual = x.bias = true;
        expect_right<bf16>(*gpu_, x);
        x.residual = x.bias = false, x.f32 = x.add = true;
        expect_right<float>(*gpu_, x);
      }
  Case slabs{140, 60, 9000, true, true, true, true};
  slabs.batch = 3;
  EXPECT_GT(matmul_slabs(slabs.params()), 1);
  expect_right<float>(*gpu_, slabs);
}

TEST_F(CudaMatmul, HalfPrecisionEqualsTheReference) {
  Product<f16> x{300, 201, 500};
  for (const Product<f16>& fused : with_epilogues(x)) expect_right<f16>(*gpu_, fused);
  for (const bool turned : {false, true}) {
    x.a_turned = x.b_turned = turned, x.f32 = x.add = false;
    expect_right<f16>(*gpu_, x);
    x.f32 = x.add = true;
    expect_right<float>(*gpu_, x);
  }
}

// A schedule for the same product with another tile and cluster; little staging, a short ring.
MatmulSchedule scheduled(const Case& x, int tile_m, int tile_n, int cluster_m, int cluster_n) {
  MatmulSchedule s;
  s.tile_m = tile_m, s.tile_n = tile_n, s.cluster_m = cluster_m, s.cluster_n = cluster_n;
  s.a_turned = x.a_turned, s.b_turned = x.b_turned;
  s.epilogue = {x.bias, x.gelu, x.keep, x.times, x.residual, x.swiglu, x.swiglu_gradient};
  s.stages = std::min(4, ring_stages(s));
  return s;
}

template <class T>
void expect_same_start(const std::vector<T>& part, const std::vector<T>& whole,
                       const std::string& name) {
  EXPECT_EQ(std::memcmp(part.data(), whole.data(), part.size() * sizeof(T)), 0) << name;
}

// A row of C has the same bits alone and in any batch, with any tile and cluster.
TEST_F(CudaMatmul, BitsDoNotDependOnTheBatchOrTheSchedule) {
  for (Case& x : with_all_epilogues(Case{1000, 528, 777})) {
    x.fill(7);
    const Result<bf16> whole = on_gpu<bf16>(*gpu_, x);
    for (const int64_t rows : {1, 64, 130, 999}) {
      Case some = x;
      some.m = rows;
      some.start.resize(size_t(some.c_size())), some.slopes.resize(size_t(some.slope_size()));
      const Result<bf16> part = on_gpu<bf16>(*gpu_, some);
      expect_same_start(part.c, whole.c, some.name());
      expect_same_start(part.slope, whole.slope, some.name());
    }
    const MatmulSchedule other = scheduled(x, 64, x.swiglu ? 128 : 64, 2, 2);
    const Result<bf16> again = on_gpu<bf16>(*gpu_, x, &other);
    EXPECT_TRUE(same_bits(again.c, whole.c)) << x.name();
    EXPECT_TRUE(same_bits(again.slope, whole.slope)) << x.name();
  }
}

TEST_F(CudaMatmul, BitsDoNotDependOnTheTileOrTheCluster) {
  for (const bool turned : {false, true}) {
    Case x{1000, 520, 777, turned, turned};
    x.fill(8);
    const std::vector<bf16> whole = on_gpu<bf16>(*gpu_, x).c;
    for (const auto& [tile_m, tile_n] :
         {std::pair{64, 64}, {64, 256}, {128, 64}, {128, 192}, {192, 128}})
      for (const auto& [cluster_m, cluster_n] : {std::pair{1, 1}, {2, 1}, {1, 2}, {4, 1}, {2, 2}}) {
        const MatmulSchedule s = scheduled(x, tile_m, tile_n, cluster_m, cluster_n);
        EXPECT_TRUE(same_bits(on_gpu<bf16>(*gpu_, x, &s).c, whole))
            << x.name() << " " << tile_m << "x" << tile_n << " " << cluster_m << "x" << cluster_n;
      }
  }
}

// One of a batch has the bits of the same product alone.
TEST_F(CudaMatmul, BitsDoNotDependOnTheOtherMatrices) {
  Case all{200, 120, 300};
  all.batch = 4;
  all.fill(9);
  const std::vector<bf16> together = on_gpu<bf16>(*gpu_, all).c;
  for (int64_t i = 0; i < all.batch; ++i) {
    Case one = all;
    one.batch = 1;
    one.a.erase(one.a.begin(), one.a.begin() + i * all.a_size());
    one.b.erase(one.b.begin(), one.b.begin() + i * all.b_size());
    one.start.resize(size_t(all.c_size()));
    const std::vector<bf16> alone = on_gpu<bf16>(*gpu_, one).c;
    EXPECT_EQ(
        std::memcmp(alone.data(), together.data() + i * all.c_size(), alone.size() * sizeof(bf16)),
        0)
        << i;
  }
}

// Few rows through the skinny product: the bits of the same rows in a large one.
template <class T>
void expect_same_rows(CudaDevice& gpu, const Product<T>& all, const Result<T>& whole,
                      int64_t rows) {
  Product<T> some = all;
  some.m = rows;
  ASSERT_TRUE(is_skinny(some.params()));
  for (const bool constant : {false, true}) {
    const Result<T> got =
        computed<T>(gpu, some, [&](const Matmul& p) { skinny_matmul(gpu.stream(), p, constant); });
    for (int64_t i = 0; i < rows; ++i) {
      const auto same = [&](const auto& a, const auto& b, int64_t columns) {
        const size_t at = size_t(i * c_row(columns));
        return std::memcmp(&a[at], &b[at], size_t(columns) * sizeof(T)) == 0;
      };
      ASSERT_TRUE(same(got.c, whole.c, all.c_columns())) << some.name() << ", row " << i;
      ASSERT_TRUE(same(got.slope, whole.slope, all.slope_columns()))
          << some.name() << ", row " << i;
    }
    for (size_t i = size_t(some.c_size()); i < got.c.size(); ++i)
      ASSERT_TRUE(std::isnan(float(got.c[i]))) << some.name() << ": wrote outside of C";
  }
}

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
      const Result<bf16> whole = on_gpu<bf16>(*gpu_, all);
      for (const int64_t rows : {1, 8, 9, 16, 17, 32, 33, 64})
        expect_same_rows(*gpu_, all, whole, rows);
    }
}

TEST_F(CudaMatmul, FewRowsFusedHaveTheBitsOfMany) {
  std::vector<Case> fused = with_epilogues(Case{100, 521, 300});
  for (const Case& x : with_swiglu(Case{100, 528, 300}))
    if (!x.swiglu_gradient) fused.push_back(x);
  fused.push_back(fused.back()),
      fused.back().n = 16384;  // 128 of W a CTA, where the others have 32
  for (Case& x : fused) {
    x.fill(17);
    expect_same_rows(*gpu_, x, on_gpu<bf16>(*gpu_, x), 9);
  }
  Product<f16> half{100, 521, 300};
  half.fill(19);
  expect_same_rows(*gpu_, half, on_gpu<f16>(*gpu_, half), 40);
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
    EXPECT_TRUE(same_bits(on_gpu<bf16>(*gpu_, x, &s).c, on_gpu<bf16>(*gpu_, x, &plain).c))
        << tile_n << " " << store_units;
  }
}

TEST_F(CudaMatmul, NanAndInfinityPropagate) {
  Case x{130, 40, 70};
  x.fill(3);
  x.a[size_t(5 * round8(x.k) + 3)] = bf16(std::nanf(""));
  x.a[size_t(9 * round8(x.k) + 3)] = bf16(HUGE_VALF);
  const std::vector<bf16> c = on_gpu<bf16>(*gpu_, x).c;
  for (int64_t j = 0; j < x.n; ++j) {
    EXPECT_TRUE(std::isnan(float(c[size_t(5 * c_row(x.n) + j)])));
    EXPECT_TRUE(std::isinf(float(c[size_t(9 * c_row(x.n) + j)])));
    EXPECT_TRUE(std::isfinite(float(c[size_t(6 * c_row(x.n) + j)])));
  }
}

// A row that begins with a NaN, beside others.
TEST_F(CudaMatmul, NanPropagatesThroughEpilogues) {
  for (Case& x : with_all_epilogues(Case{130, 48, 70})) {
    x.fill(4);
    x.a[size_t(5 * round8(x.k))] = bf16(std::nanf(""));
    const Result<bf16> got = on_gpu<bf16>(*gpu_, x);
    const auto expect_in_row_5 = [&](const std::vector<bf16>& rows, int64_t columns) {
      for (int64_t r = 4; r < 7; ++r)
        for (int64_t j = 0; j < columns; ++j)
          EXPECT_EQ(std::isnan(float(rows[size_t(r * c_row(columns) + j)])), r == 5)
              << x.name() << " row " << r << " column " << j;
    };
    expect_in_row_5(got.c, x.c_columns());
    if (x.keep) expect_in_row_5(got.slope, x.slope_columns());
  }
}

// The first and the last rows of a result of 4.3 GB have the bits of a product of their own.
TEST_F(CudaMatmul, ResultsMayHaveMoreThan2To31Elements) {
  constexpr int64_t rows = 64;
  Case x{65600, 32784, 16};
  x.a = testing::normal<bf16>(x.a_size(), 1), x.b = testing::normal<bf16>(x.b_size(), 2);
  ASSERT_GT(x.c_size(), int64_t{1} << 31);
  const BufferPtr a = upload(*gpu_, x.a), b = upload(*gpu_, x.b);
  const auto product = [&](int64_t first, int64_t m) {
    Matmul p = x.params();
    const BufferPtr c = gpu_->allocate(size_t(m * p.c_row_stride) * sizeof(bf16));
    p.m = m, p.a.data = a->data() + first * p.a.row_stride * int64_t(sizeof(bf16));
    p.b.data = b->data(), p.c = c->data();
    matmul(gpu_->stream(), p);
    gpu_->stream().synchronize();
    return c;
  };
  const size_t count = size_t(rows * c_row(x.n));
  const BufferPtr whole = product(0, x.m);
  for (const int64_t first : {int64_t{0}, x.m - rows}) {
    const std::vector<bf16> own = download<bf16>(*gpu_, product(first, rows), count);
    std::vector<bf16> part(count);
    gpu_->copy_to_host(reinterpret_cast<std::byte*>(part.data()),
                       whole->data() + size_t(first * c_row(x.n)) * sizeof(bf16),
                       count * sizeof(bf16));
    for (int64_t r = 0; r < rows; ++r)
      EXPECT_EQ(std::memcmp(&part[size_t(r * c_row(x.n))], &own[size_t(r * c_row(x.n))],
                            size_t(x.n) * sizeof(bf16)),
                0)
          << "row " << first + r;
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
  EXPECT_ERROR(user, "wants a slope", matmul(gpu_->stream(), p));
  p = x.params();
  p.accumulate = true;
  EXPECT_ERROR(user, "f32 only", matmul(gpu_->stream(), p));
  p = x.params();
  p.residual = bytes->data() + 2;
  EXPECT_ERROR(user, "residual must lie", matmul(gpu_->stream(), p));
}

TEST(CudaMatmulChecks, SwigluSaysWhatItExpected) {
  Case x{16, 24, 16};
  x.swiglu = true;
  Matmul p = x.params();
  EXPECT_ERROR(user, "expected a multiple of 16 columns for swiglu's gates and ups, got 24",
               check_matmul(p));
  p.n = 32, p.batch = 3;
  EXPECT_ERROR(user, "takes one matrix, got 3", check_matmul(p));
  p.batch = 1, p.residual = &x;
  EXPECT_ERROR(user, "no residual", check_matmul(p));
  p.residual = nullptr, p.slope = &p.slope, p.slope_row_stride = 16;
  EXPECT_ERROR(user, "at least 32 apart, got 16", check_matmul(p));
  p.activation = Matmul::swiglu_gradient, p.slope_row_stride = 64;
  p.n = 20;
  EXPECT_ERROR(user, "multiple of 8 columns for swiglu's gradient, got 20", check_matmul(p));
  p.slope = nullptr;
  EXPECT_ERROR(user, "swiglu_gradient wants a slope", check_matmul(p));
}

}  // namespace
}  // namespace weft::kernels::cuda
