#include "weft/kernels/random.h"

#include <cmath>
#include <gtest/gtest.h>
#include <memory>
#include <vector>

#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

// Made once: starting threads takes longer than most cases.
const std::vector<std::unique_ptr<CpuDevice>>& cpus() {
  static const auto all = testing::all_cpus();
  return all;
}

// Steps and indices beyond 32 bits, and cuts that fall inside a counter.
struct Cut {
  uint64_t key, step;
  int64_t first, n;
};
const Cut cuts[] = {{1, 0, 0, 1000},
                    {0x0123456789abcdefu, 7, 3, 61},
                    {5, uint64_t(1) << 40, 64, 64},
                    {~uint64_t(0), 3, (int64_t(1) << 36) + 5, 333},
                    {9, 1, 17, 0},
                    {9, 1, 63, 2}};

TEST(RandomUniform, is_philox_of_the_global_index) {
  for (const Cut& cut : cuts) {
    std::vector<float> expected(size_t(cut.n)), actual(size_t(cut.n));
    ref::random_uniform({cut.key, cut.step, cut.first, cut.n, expected.data()});
    for (const auto& cpu : cpus()) {
      cpu::random_uniform(cpu->stream(), {cut.key, cut.step, cut.first, cut.n, actual.data()});
      EXPECT_TRUE(testing::same_bits(actual, expected)) << cut.first;
    }
  }
  std::vector<float> one(1);
  ref::random_uniform({3, 4, 5, 1, one.data()});
  EXPECT_EQ(one[0], uniform_float(Philox{3}(1, 4)[1]));
}

TEST(RandomNormal, is_box_muller_of_the_same_words) {
  for (const Cut& cut : cuts) {
    std::vector<float> expected(size_t(cut.n)), first, actual(size_t(cut.n));
    ref::random_normal({cut.key, cut.step, cut.first, cut.n, expected.data()});
    for (const auto& cpu : cpus()) {
      cpu::random_normal(cpu->stream(), {cut.key, cut.step, cut.first, cut.n, actual.data()});
      if (first.empty()) first = actual;
      EXPECT_TRUE(testing::same_bits(actual, first)) << cut.first;
    }
    testing::expect_near(first, testing::widened(expected), 1e-6, 2e-6, "normal");
  }
}

TEST(RandomNormal, does_not_depend_on_how_a_tensor_is_cut) {
  CpuDevice device(1);
  std::vector<float> whole(500), parts(500);
  cpu::random_normal(device.stream(), {1, 2, 100, 500, whole.data()});
  cpu::random_normal(device.stream(), {1, 2, 100, 77, parts.data()});
  cpu::random_normal(device.stream(), {1, 2, 177, 423, parts.data() + 77});
  EXPECT_TRUE(testing::same_bits(whole, parts));
}

TEST(RandomNormal, has_mean_zero_and_variance_one) {
  constexpr int64_t n = 1 << 17;
  CpuDevice device(2);
  std::vector<float> x(n);
  cpu::random_normal(device.stream(), {42, 0, 0, n, x.data()});
  double sum = 0, squares = 0, fourth = 0;
  for (const float v : x) {
    const double square = double(v) * double(v);
    sum += double(v), squares += square, fourth += square * square;
  }
  EXPECT_NEAR(sum / n, 0, 0.012);
  EXPECT_NEAR(squares / n, 1, 0.016);
  EXPECT_NEAR(fourth / n, 3, 0.12);
}

}  // namespace
}  // namespace weft::kernels
