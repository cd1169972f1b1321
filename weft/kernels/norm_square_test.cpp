#include "weft/kernels/norm_square.h"

#include <limits>

#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

using namespace testing;

double square_on(CpuStream& stream, const std::vector<float>& x,
                 std::vector<double>* blocks = nullptr) {
  double out = -1;
  std::vector<double> scratch(size_t(norm_square_scratch_bytes(int64_t(x.size()))) / 8);
  NormSquare p;
  p.n = int64_t(x.size()), p.x = x.data(), p.out = &out, p.scratch = scratch.data();
  cpu::norm_square(stream, p);
  if (blocks) *blocks = scratch;
  return out;
}

TEST(NormSquare, AgreesWithF64AndAcrossMachines) {
  for (const int64_t n : {0, 1, 15, 33, 4096, 4097, 50000}) {
    const std::vector<float> x = normal<float>(n, 7, 3, 0.1);
    double want = -1;
    NormSquare p;
    p.n = n, p.x = x.data(), p.out = &want;
    ref::norm_square<float>(p);
    const double first = square_on(all_cpus()[0]->stream(), x);
    EXPECT_NEAR(first, want, 1e-13 * want);
    for (const auto& cpu : all_cpus())
      EXPECT_EQ(square_on(cpu->stream(), x), first) << cpu->description();
    const std::vector<double> wide = widened(x);
    p.x = wide.data(), p.dtype = DType::f64;
    double of_f64 = -1;
    p.out = &of_f64;
    ref::norm_square<double>(p);
    EXPECT_EQ(of_f64, want);
  }
}

TEST(NormSquare, PartOnBlockBoundsHasTheBlocksOfTheWhole) {
  CpuDevice cpu(2);
  const std::vector<float> x = normal<float>(5 * norm_square_block + 77, 8);
  const std::vector<float> part(x.begin() + 2 * norm_square_block, x.end());
  std::vector<double> whole_blocks, part_blocks;
  square_on(cpu.stream(), x, &whole_blocks);
  square_on(cpu.stream(), part, &part_blocks);
  EXPECT_EQ(part_blocks, std::vector<double>(whole_blocks.begin() + 2, whole_blocks.end()));
}

// Squares of large gradients overflow f32, not f64.
TEST(NormSquare, LargeValuesAndNotANumber) {
  for (const auto& cpu : all_cpus()) {
    EXPECT_DOUBLE_EQ(square_on(cpu->stream(), std::vector<float>(20, 1e30f)),
                     20 * std::pow(double(1e30f), 2));
    std::vector<float> x(5000, 1.0f);
    x[4999] = std::nanf("");
    EXPECT_TRUE(std::isnan(square_on(cpu->stream(), x)));
  }
}

TEST(ClipScale, ScalesOnlyLargeNorms) {
  CpuDevice cpu(1);
  float scale = -1, norm = -1;
  const double squares[] = {9, 16};
  ClipScale p;
  p.count = 2, p.squares = squares, p.scale = &scale, p.norm = &norm;
  cpu::clip_scale(cpu.stream(), p);
  EXPECT_FLOAT_EQ(norm, 5);
  EXPECT_FLOAT_EQ(scale, float(1 / (5 + 1e-6)));
  p.max_norm = 6;
  cpu::clip_scale(cpu.stream(), p);
  EXPECT_EQ(scale, 1);
  p.max_norm = std::numeric_limits<double>::infinity();
  cpu::clip_scale(cpu.stream(), p);
  EXPECT_EQ(scale, 1);
  const double bad[] = {1, std::nan("")};
  p.squares = bad, p.max_norm = 1;
  cpu::clip_scale(cpu.stream(), p);
  EXPECT_TRUE(std::isnan(scale) && std::isnan(norm));
}

}  // namespace
}  // namespace weft::kernels
