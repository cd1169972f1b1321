#include "weft/kernels/reduce.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
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

constexpr ReduceOp extremes[] = {ReduceOp::max, ReduceOp::min};
constexpr float inf = std::numeric_limits<float>::infinity(),
                nan = std::numeric_limits<float>::quiet_NaN();

struct Size {
  int64_t outer, reduce, inner;
};
const Size sizes[] = {{3, 0, 1},    {0, 5, 1},    {1, 1, 1},    {5, 15, 1},    {5, 16, 1},
                      {3, 17, 1},   {2, 255, 1},  {2, 257, 1},  {4, 1000, 1},  {2, 4096, 1},
                      {2, 4097, 1}, {1, 9999, 1}, {3, 0, 4},    {1, 1, 17},    {2, 63, 15},
                      {1, 64, 16},  {2, 65, 17},  {1, 200, 64}, {3, 130, 100}, {1, 300, 257},
                      {20, 7, 3}};

// Runs a case on every machine, checks that all agree bit by bit, and gives the result.
template <class Out>
std::vector<Out> run(Reduce p) {
  std::vector<Out> first(size_t(p.outer * p.inner)), actual(first.size());
  std::vector<float> scratch(size_t(reduce_scratch_bytes(p) / 4 + 32), nan);
  const size_t past = 64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64;
  p.scratch = reinterpret_cast<std::byte*>(scratch.data()) + past % 64;
  EXPECT_TRUE(reduce_fast(p));
  bool started = false;
  for (const auto& cpu : cpus()) {
    p.out = actual.data();
    cpu::reduce(cpu->stream(), p);
    if (!started) first = actual, started = true;
    EXPECT_TRUE(testing::same_bits(actual, first)) << p.reduce << " " << cpu->description();
  }
  return first;
}

template <class T, class Out>
void expect_sums(Size s) {
  const std::vector<T> in = testing::normal<T>(s.outer * s.reduce * s.inner, 1);
  Reduce p{ReduceOp::sum,
           dtype_of<T>::value,
           dtype_of<Out>::value,
           s.outer,
           s.reduce,
           s.inner,
           in.data(),
           nullptr,
           nullptr};
  std::vector<double> expected(size_t(s.outer * s.inner));
  const std::vector<Out> actual = run<Out>(p);
  p.out_dtype = DType::f64, p.out = expected.data();
  ref::reduce(p);
  testing::expect_near(actual, expected,
                       std::is_same_v<Out, float> ? 1e-6 : testing::half_ulp<Out>() * 1.01,
                       1e-6 * double(s.reduce), "sum");
}

TEST(Reduce, sums) {
  for (const Size s : sizes) {
    expect_sums<float, float>(s);
    expect_sums<bf16, float>(s);
    expect_sums<bf16, bf16>(s);
    expect_sums<f16, float>(s);
  }
}

// The order the header promises, by hand.
TEST(Reduce, sums_rows_in_the_promised_order) {
  constexpr int64_t n = 4096 + 100;
  const std::vector<float> in = testing::normal<float>(n, 2);
  float total[16] = {};
  for (int64_t block = 0; block < n; block += 4096) {
    float partial[16] = {};
    for (int64_t i = block; i < std::min(n, block + 4096); ++i) partial[i % 16] += in[size_t(i)];
    for (int lane = 0; lane < 16; ++lane)
      total[lane] = block ? total[lane] + partial[lane] : partial[lane];
  }
  for (int width = 8; width; width /= 2)
    for (int lane = 0; lane < width; ++lane) total[lane] += total[lane + width];
  EXPECT_EQ(
      run<float>({ReduceOp::sum, DType::f32, DType::f32, 1, n, 1, in.data(), nullptr, nullptr})[0],
      total[0]);
}

TEST(Reduce, sums_columns_in_the_promised_order) {
  constexpr int64_t rows = 150, columns = 5;
  const std::vector<float> in = testing::normal<float>(rows * columns, 3);
  const std::vector<float> actual = run<float>(
      {ReduceOp::sum, DType::f32, DType::f32, 1, rows, columns, in.data(), nullptr, nullptr});
  for (int64_t c = 0; c < columns; ++c) {
    float total = 0;
    for (int64_t block = 0; block < rows; block += 64) {
      float chain = 0;
      for (int64_t r = block; r < std::min(rows, block + 64); ++r)
        chain += in[size_t(r * columns + c)];
      total += chain;
    }
    EXPECT_EQ(actual[size_t(c)], total) << c;
  }
}

template <class T>
void expect_extremes(Size s, std::vector<T> in) {
  for (const ReduceOp op : extremes) {
    Reduce p{op,      dtype_of<T>::value, DType::f32, s.outer, s.reduce,
             s.inner, in.data(),          nullptr,    nullptr};
    std::vector<float> expected(size_t(s.outer * s.inner));
    const std::vector<float> actual = run<float>(p);
    p.out = expected.data();
    ref::reduce(p);
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_TRUE(actual[i] == expected[i] || (std::isnan(actual[i]) && std::isnan(expected[i])))
          << i;
  }
}

template <class T>
void expect_places(Size s, std::vector<T> in) {
  Reduce p{ReduceOp::argmax, dtype_of<T>::value, DType::i64, s.outer, s.reduce,
           s.inner,          in.data(),          nullptr,    nullptr};
  std::vector<int64_t> expected(size_t(s.outer * s.inner));
  EXPECT_EQ(reduce_scratch_bytes(p), 0);
  const std::vector<int64_t> actual = run<int64_t>(p);
  p.out = expected.data();
  ref::reduce(p);
  EXPECT_EQ(actual, expected) << s.reduce;
  p.out_dtype = DType::i32;
  const std::vector<int32_t> narrow = run<int32_t>(p);
  for (size_t i = 0; i < narrow.size(); ++i) EXPECT_EQ(narrow[i], expected[i]);
}

TEST(Reduce, extremes_and_their_places) {
  for (const Size s : sizes) {
    const int64_t n = s.outer * s.reduce * s.inner;
    expect_extremes(s, testing::normal<float>(n, 4));
    expect_extremes(s, testing::normal<bf16>(n, 4));
    expect_extremes(s, testing::normal<f16>(n, 4));
    expect_places(s, testing::normal<float>(n, 5));
    expect_places(s, testing::normal<bf16>(n, 5));  // with ties
    std::vector<float> in = testing::normal<float>(n, 6);
    for (size_t i = 0; i < in.size(); i += 97) in[i] = nan;
    for (size_t i = 5; i < in.size(); i += 61) in[i] = i % 2 ? inf : -inf;
    expect_extremes(s, in);
    expect_places(s, in);
  }
}

TEST(Reduce, of_rows_of_minus_infinity) {
  for (const Size s : {Size{2, 5, 1}, Size{2, 40, 1}, Size{1, 40, 3}}) {
    const std::vector<float> in(size_t(s.outer * s.reduce * s.inner), -inf);
    expect_extremes(s, in);
    expect_places(s, in);
  }
}

TEST(Reduce, the_reference_takes_every_dtype) {
  const std::vector<int32_t> in = {3, -7, 5, 9, 2, 9};
  std::vector<int64_t> out(2);
  CpuDevice device(1);
  Reduce p{ReduceOp::sum, DType::i32, DType::i64, 2, 3, 1, in.data(), out.data(), nullptr};
  EXPECT_FALSE(reduce_fast(p));
  EXPECT_EQ(reduce_scratch_bytes(p), 0);
  reduce(device.stream(), p);
  EXPECT_EQ(out, (std::vector<int64_t>{1, 20}));
  p.op = ReduceOp::max;
  reduce(device.stream(), p);
  EXPECT_EQ(out, (std::vector<int64_t>{5, 9}));
  p.op = ReduceOp::argmax;
  reduce(device.stream(), p);
  EXPECT_EQ(out, (std::vector<int64_t>{2, 0}));
  const std::vector<double> wide = {1e16, 1, -1e16, 4};
  double sum = 0;
  reduce(device.stream(),
         {ReduceOp::sum, DType::f64, DType::f64, 1, 4, 1, wide.data(), &sum, nullptr});
  EXPECT_EQ(sum, 4);
}

}  // namespace
}  // namespace weft::kernels
