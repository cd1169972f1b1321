#include "weft/kernels/gather.h"

#include <gtest/gtest.h>
#include <memory>
#include <numeric>
#include <vector>

#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

// Made once: starting threads takes longer than most cases.
const std::vector<std::unique_ptr<CpuDevice>>& cpus() {
  static const auto all = testing::all_cpus();
  return all;
}

template <class Index>
std::vector<Index> random_indices(int64_t n, int64_t rows, uint64_t key) {
  std::vector<Index> v;
  for (int64_t i = 0; i < n; ++i) v.push_back(Index(Philox{key}(uint64_t(i))[0] % uint64_t(rows)));
  return v;
}

std::vector<uint8_t> bytes_of(int64_t n) {
  std::vector<uint8_t> v(static_cast<size_t>(n));
  std::iota(v.begin(), v.end(), uint8_t(1));
  return v;
}

template <class Index>
void expect_gathers(int64_t width, int element_bytes, int64_t n) {
  constexpr int64_t rows = 23;
  const std::vector<uint8_t> table = bytes_of(rows * width * element_bytes);
  const std::vector<Index> indices = random_indices<Index>(n, rows, 1);
  std::vector<uint8_t> expected(size_t(n * width * element_bytes), 9), actual = expected;
  int64_t bad = -1;
  GatherRows p{table.data(),  indices.data(),  dtype_of<Index>::value,
               rows,          width,           n,
               element_bytes, expected.data(), &bad};
  ref::gather_rows(p);
  p.out = actual.data();
  for (const auto& cpu : cpus()) {
    std::fill(actual.begin(), actual.end(), uint8_t(9));
    cpu::gather_rows(cpu->stream(), p);
    EXPECT_EQ(actual, expected) << width << " x " << element_bytes << " bytes, " << n;
  }
  EXPECT_EQ(bad, -1);
}

TEST(GatherRows, copies_the_named_rows) {
  for (const int64_t n : {0, 1, 5, 64})
    for (const int64_t width : {1, 3, 64, 100})
      for (const int bytes : {1, 2, 4, 8}) {
        expect_gathers<int32_t>(width, bytes, n);
        expect_gathers<int64_t>(width, bytes, n);
      }
}

TEST(GatherRows, names_the_first_index_out_of_range_and_reads_nothing_there) {
  const std::vector<float> table(6, 1.0f);
  std::vector<int32_t> indices(100, 1);
  indices[37] = 3, indices[61] = -1, indices[99] = 2147483647;
  for (const auto& cpu : cpus()) {
    std::vector<float> out(200, 7.0f);
    int64_t bad = -1;
    cpu::gather_rows(cpu->stream(),
                     {table.data(), indices.data(), DType::i32, 3, 2, 100, 4, out.data(), &bad});
    EXPECT_EQ(bad, 37);
    EXPECT_EQ(out[2 * 37], 0.0f);
    EXPECT_EQ(out[2 * 36], 1.0f);
  }
}

TEST(ScatterRows, replaces_rows_and_skips_negative_indices) {
  const std::vector<uint16_t> values = {10, 11, 12, 20, 21, 22, 30, 31, 32};
  const std::vector<int64_t> indices = {4, -1, 0};
  for (const auto& cpu : cpus()) {
    std::vector<uint16_t> out(15, 5);
    int64_t bad = -1;
    cpu::scatter_rows(cpu->stream(),
                      {values.data(), indices.data(), DType::i64, 5, 3, 3, 2, out.data(), &bad});
    EXPECT_EQ(out, (std::vector<uint16_t>{30, 31, 32, 5, 5, 5, 5, 5, 5, 5, 5, 5, 10, 11, 12}));
    EXPECT_EQ(bad, -1);
  }
}

TEST(ScatterRows, names_the_first_index_out_of_range) {
  const std::vector<float> values(40, 1.0f);
  std::vector<int32_t> indices(40);
  std::iota(indices.begin(), indices.end(), 0);
  for (const auto& cpu : cpus()) {
    std::vector<float> out(31, 0.0f);
    int64_t bad = -1;
    cpu::scatter_rows(cpu->stream(),
                      {values.data(), indices.data(), DType::i32, 30, 1, 40, 4, out.data(), &bad});
    EXPECT_EQ(bad, 30);
    EXPECT_EQ(out[29], 1.0f);
    EXPECT_EQ(out[30], 0.0f);
  }
}

TEST(ScatterRows, agrees_with_the_reference) {
  const std::vector<uint8_t> values = bytes_of(50 * 7 * 4);
  std::vector<int32_t> indices(50);
  for (int i = 0; i < 50; ++i) indices[size_t(i)] = i * 7 % 50 - (i == 3 ? 50 : 0);
  std::vector<uint8_t> expected(50 * 7 * 4, 1), actual;
  int64_t bad = -1;
  ScatterRows p{values.data(), indices.data(), DType::i32, 50, 7, 50, 4, expected.data(), &bad};
  ref::scatter_rows(p);
  for (const auto& cpu : cpus()) {
    actual.assign(expected.size(), 1);
    p.out = actual.data();
    cpu::scatter_rows(cpu->stream(), p);
    EXPECT_EQ(actual, expected);
  }
}

// One of few rows for each of many gradients, some skipped.
template <class T, class Out>
void expect_sums(int64_t width, int64_t n) {
  constexpr int64_t rows = 11;
  const std::vector<T> grad = testing::normal<T>(n * width, 2);
  std::vector<int32_t> indices =
      random_indices<int32_t>(n, rows - 2, 3);  // the last two rows stay zero
  if (n > 4) indices[1] = -1, indices[3] = rows, indices[4] = -7;
  std::vector<Out> expected(size_t(rows * width)), first, actual;
  ScatterAddRows p{grad.data(), dtype_of<T>::value, indices.data(), DType::i32, rows, width,
                   n,           expected.data()};
  ref::scatter_add_rows(p);
  for (const auto& cpu : cpus()) {
    actual.assign(expected.size(), Out(3));
    p.out = actual.data();
    cpu::scatter_add_rows(cpu->stream(), p);
    if (first.empty()) first = actual;
    EXPECT_TRUE(testing::same_bits(actual, first)) << cpu->description();
  }
  testing::expect_near(first, testing::widened(expected), 0,
                       std::is_same_v<Out, float> ? 1e-4 : 1e-12,
                       std::string(dtype_name(dtype_of<T>::value)));
}

TEST(ScatterAddRows, adds_in_the_order_of_the_indices) {
  for (const int64_t n : {0, 1, 17, 300})
    for (const int64_t width : {1, 15, 16, 17, 257}) {
      expect_sums<float, float>(width, n);
      expect_sums<bf16, float>(width, n);
      expect_sums<f16, float>(width, n);
      expect_sums<double, double>(width, n);
    }
  // 1e8 + 1 - 1e8 depends on the order.
  const std::vector<float> grad = {1e8f, 1.0f, -1e8f};
  const std::vector<int64_t> indices = {0, 0, 0};
  float out = 5;
  CpuDevice device(1);
  cpu::scatter_add_rows(device.stream(),
                        {grad.data(), DType::f32, indices.data(), DType::i64, 1, 1, 3, &out});
  EXPECT_EQ(out, 0.0f);
}

}  // namespace
}  // namespace weft::kernels
