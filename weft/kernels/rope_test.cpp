#include "weft/kernels/rope.h"

#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

using namespace testing;

constexpr int64_t max_positions = 40;

template <class T>
struct Case {
  int64_t tokens = 7, heads = 3, head_dim, rotary, gap = 5;  // gap: elements between tokens
  Rope::Convention convention;
  bool inverse = false;
  std::vector<T> x, y;
  std::vector<int32_t> positions = {0, 1, 2, 39, 17, 17, 3};
  std::vector<float> cos, sin;

  Case(int64_t dim, int64_t rotated, Rope::Convention which)
      : head_dim(dim), rotary(rotated), convention(which) {
    x = normal<T>(tokens * (heads * dim + gap), 1), y.resize(x.size());
    cos.resize(size_t(max_positions * rotary / 2)), sin.resize(cos.size());
    rope_tables(max_positions, rotary, 10000, cos.data(), sin.data());
  }
  Rope params() {
    Rope p;
    p.tokens = tokens, p.heads = heads, p.head_dim = head_dim, p.rotary = rotary,
    p.dtype = dtype_of<T>::value;
    p.convention = convention, p.inverse = inverse, p.positions = positions.data();
    p.x = x.data(), p.y = y.data(), p.x_row_stride = p.y_row_stride = heads * head_dim + gap;
    p.cos = cos.data(), p.sin = sin.data();
    return p;
  }
};

template <class T>
void compare_with_f64(int64_t head_dim, int64_t rotary, Rope::Convention convention, bool inverse) {
  Case<double> want(head_dim, rotary, convention);
  Case<T> first(head_dim, rotary, convention), rounded = first;
  want.x = widened(first.x), want.inverse = inverse;
  first.inverse = rounded.inverse = inverse;
  ref::rope<double>(want.params());
  ref::rope<T>(rounded.params());
  cpu::rope(all_cpus()[0]->stream(), first.params());
  // Bounds: half an ulp of the result, and two f32 roundings of terms up to 4.
  expect_near(first.y, want.y, half_ulp<T>(), 5e-7, "fast");
  expect_near(rounded.y, want.y, half_ulp<T>(), 0, "ref");
  for (const auto& cpu : all_cpus()) {
    Case<T> c(head_dim, rotary, convention), in_place = c;
    c.inverse = in_place.inverse = inverse;
    cpu::rope(cpu->stream(), c.params());
    EXPECT_TRUE(same_bits(c.y, first.y)) << cpu->description();
    Rope p = in_place.params();
    p.y = in_place.x.data();
    cpu::rope(cpu->stream(), p);
    const int64_t used = p.heads * head_dim;
    for (int64_t t = 0; t < p.tokens; ++t)
      for (int64_t i = 0; i < used; ++i) {
        const size_t at = size_t(t * p.x_row_stride + i);
        ASSERT_EQ(from(in_place.x[at]), from(first.y[at])) << t << ", " << i;
      }
  }
}

TEST(Rope, AgreesWithF64AndAcrossMachines) {
  for (const auto convention : {Rope::half, Rope::interleaved})
    for (const bool inverse : {false, true})
      for (const auto& [head_dim, rotary] : {std::pair{2, 2}, {10, 6}, {64, 64}, {80, 34}}) {
        compare_with_f64<float>(head_dim, rotary, convention, inverse);
        compare_with_f64<bf16>(head_dim, rotary, convention, inverse);
      }
}

TEST(Rope, TokenAloneIsTheTokenInABatch) {
  CpuDevice cpu(2);
  Case<bf16> all(64, 64, Rope::half), one = all;
  cpu::rope(cpu.stream(), all.params());
  Rope p = one.params();
  p.tokens = 1, p.positions += 3;
  p.x = one.x.data() + 3 * p.x_row_stride;
  cpu::rope(cpu.stream(), p);
  for (size_t i = 0; i < 3 * 64; ++i)
    EXPECT_EQ(one.y[i].bits, all.y[size_t(3 * p.y_row_stride) + i].bits);
}

// The rotation keeps lengths, so its gradient is its inverse.
TEST(Rope, InverseIsTheGradient) {
  for (const auto convention : {Rope::half, Rope::interleaved}) {
    Case<double> c(10, 6, convention), back(10, 6, convention);
    c.gap = back.gap = 0;
    const std::vector<double> dy = normal<double>(int64_t(c.x.size()), 2);
    const auto loss = [&] {
      ref::rope<double>(c.params());
      return dot(c.y, dy);
    };
    back.x = dy, back.inverse = true;
    ref::rope<double>(back.params());
    EXPECT_LT(relative_distance(back.y, differences(c.x, loss)), 1e-6);
  }
}

TEST(Rope, TablesAreCosineAndSine) {
  std::vector<float> cos(3 * 2), sin(3 * 2);
  rope_tables(3, 4, 100, cos.data(), sin.data());
  EXPECT_EQ(cos[0], 1);
  EXPECT_EQ(sin[1], 0);
  EXPECT_FLOAT_EQ(cos[2 * 2 + 0], std::cos(2.0f));
  EXPECT_FLOAT_EQ(sin[2 * 2 + 1], std::sin(0.2f));
}

TEST(Rope, NotANumberStaysInItsPair) {
  for (const auto& cpu : all_cpus()) {
    Case<float> c(10, 6, Rope::interleaved);
    c.x[2] = std::nanf(""), c.x[9] = INFINITY;
    cpu::rope(cpu->stream(), c.params());
    for (size_t i = 0; i < c.y.size(); ++i) EXPECT_EQ(std::isnan(c.y[i]), i == 2 || i == 3) << i;
    EXPECT_TRUE(std::isinf(c.y[9]));
  }
}

}  // namespace
}  // namespace weft::kernels
