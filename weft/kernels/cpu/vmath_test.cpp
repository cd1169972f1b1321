// Accuracy of the vector functions against libm in double, over a sweep of the bit patterns of
// float. The sets are compared with each other, bit by bit, in pointwise_test.cpp.
#define WEFT_ISA avx2
#include "weft/kernels/cpu/vmath.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>

namespace weft::kernels::cpu::avx2 {
namespace {

constexpr float tiny = std::numeric_limits<float>::min();
constexpr double pi = 3.14159265358979323846;

struct FlushDenormals {
  unsigned saved = _mm_getcsr();
  FlushDenormals() { _mm_setcsr(saved | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(saved); }
};

// Distance in units in the last place of `expected`; what lies below the normal range counts as
// zero.
double ulps(float actual, double expected) {
  if (std::isnan(expected)) return std::isnan(actual) ? 0 : 1e30;
  if (std::fabs(expected) > double(std::numeric_limits<float>::max()) * (1 + 1e-7))
    return actual == (expected > 0 ? infinity : -infinity) ? 0 : 1e30;
  if (std::fabs(expected) < double(tiny)) return std::fabs(actual) <= tiny ? 0 : 1e30;
  return std::fabs(double(actual) - expected) / std::ldexp(1.0, std::ilogb(expected) - 23);
}

// The largest error of f over [low, high], by stepping through the bit patterns on both sides of
// zero.
template <class F, class G>
double worst(float low, float high, F f, G expected) {
  const FlushDenormals mode;
  double result = 0;
  for (int sign = 0; sign < 2; ++sign) {
    for (uint32_t bits = 0x00800000; bits < 0x7f800000;) {
      float x[lanes], y[lanes];
      for (float& v : x) v = std::bit_cast<float>(bits | uint32_t(sign) << 31), bits += 3001;
      f(F32x16::load(x)).store(y);
      for (int i = 0; i < lanes; ++i)
        if (x[i] >= low && x[i] <= high && std::isfinite(x[i]))
          result = std::max(result, ulps(y[i], expected(double(x[i]))));
    }
  }
  return result;
}

template <class F>
float at(F f, float x) {
  const FlushDenormals mode;
  float y[lanes];
  f(F32x16(x)).store(y);
  return y[0];
}

template <class Gate, class T, bool of_slope>
F32x16 gated(F32x16 x) {
  F32x16 value[1] = {x}, slope[1];
  gate<Gate, T>(value, slope);
  return of_slope ? slope[0] : value[0];
}
template <class T>
constexpr auto gelu_tanh = gated<Gelu, T, false>;
template <class T>
constexpr auto gelu_tanh_grad = gated<Gelu, T, true>;
template <class T>
constexpr auto silu = gated<Silu, T, false>;
template <class T>
constexpr auto silu_grad = gated<Silu, T, true>;

#define FUNCTION(name) [](F32x16 v) { return name(v); }
#define ORACLE(expression) [](double v) { return double(expression); }

TEST(Vmath, exponentials) {
  EXPECT_LT(worst(-infinity, infinity, FUNCTION(exp), ORACLE(std::exp(v))), 1.5);
  EXPECT_LT(worst(-infinity, infinity, FUNCTION(exp2), ORACLE(std::exp2(v))), 1.5);
  EXPECT_LT(worst(-infinity, infinity, FUNCTION(tanh), ORACLE(std::tanh(v))), 2);
  EXPECT_LT(worst(-infinity, infinity, FUNCTION(sigmoid), ORACLE(1 / (1 + std::exp(-v)))), 3);
  EXPECT_LT(worst(-infinity, infinity, FUNCTION(erf), ORACLE(std::erf(v))), 2);
}

TEST(Vmath, logarithm_and_roots) {
  EXPECT_LT(worst(-infinity, infinity, FUNCTION(log), ORACLE(std::log(v))), 1.5);
  EXPECT_LT(worst(-infinity, infinity, FUNCTION(rsqrt), ORACLE(1 / std::sqrt(v))), 1.5);
}

TEST(Vmath, angles_of_any_size) {
  EXPECT_LT(worst(-infinity, infinity, FUNCTION(sin), ORACLE(std::sin(v))), 2);
  EXPECT_LT(worst(-infinity, infinity, FUNCTION(cos), ORACLE(std::cos(v))), 2);
}

TEST(Vmath, silu) {
  const auto value = [](double x) { return x < -700 ? 0 : x / (1 + std::exp(-x)); };
  const auto grad = [](double x) {
    if (std::fabs(x) > 700) return x > 0 ? 1.0 : 0.0;
    return 1 / (1 + std::exp(-x)) * (1 + x / (1 + std::exp(x)));
  };
  EXPECT_LT(worst(-80, infinity, FUNCTION(silu<float>), value), 4);
  EXPECT_LT(worst(-1, infinity, FUNCTION(silu_grad<float>), grad), 4);
  for (float x = -200; x < 20; x += 0.01f)
    EXPECT_NEAR(at(FUNCTION(silu_grad<float>), x), grad(x), std::ldexp(4.0, -24)) << x;
}

// The error of w, half an ulp or so, is multiplied by w: far below zero the relative error grows
// with it.
TEST(Vmath, gelu) {
  const double c = std::sqrt(2 / pi);
  const auto w = [c](double x) { return 2 * c * (x + 0.044715 * x * x * x); };
  const auto gelu = [w](double x) { return x < -1e3 ? 0 : x / (1 + std::exp(-w(x))); };
  const auto grad = [w, c](double x) {
    if (std::fabs(x) > 1e3) return x > 0 ? 1.0 : 0.0;
    const double s = 1 / (1 + std::exp(-w(x)));
    return s + x * s / (1 + std::exp(w(x))) * 2 * c * (1 + 3 * 0.044715 * x * x);
  };
  EXPECT_LT(worst(-1, infinity, FUNCTION(gelu_tanh<float>), gelu), 3);
  EXPECT_LT(worst(-0.5, infinity, FUNCTION(gelu_tanh_grad<float>), grad), 4);
  for (float x = -20; x < 20; x += 0.01f) {
    const double scale = std::ldexp(1 + std::fabs(w(x)), -23);
    EXPECT_NEAR(at(FUNCTION(gelu_tanh<float>), x), gelu(x),
                std::fabs(gelu(x)) * scale * 2 + 4 * double(tiny))
        << x;
    EXPECT_NEAR(at(FUNCTION(gelu_tanh_grad<float>), x), grad(x), std::ldexp(4.0, -24)) << x;
  }
}

// All that bf16 holds, for results in bf16: an eighth of half a unit of it, of the value or, for
// slopes, of one.
TEST(Vmath, gates_for_bf16) {
  const double bound = std::ldexp(1.0, -12);
  const double c = std::sqrt(2 / pi);
  const auto w = [c](double x) { return 2 * c * (x + 0.044715 * x * x * x); };
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float x = std::bit_cast<float>(bits << 16);
    if (!std::isfinite(x)) continue;
    const double b = std::min(200.0, std::max(-200.0, double(x)));  // for slopes: no inf times zero
    const double s = sigmoid(w(b)), sigma = sigmoid(b);
    const double slope = s + b * s * sigmoid(-w(b)) * 2 * c * (1 + 3 * 0.044715 * b * b);
    const double floor = 256 * double(tiny);  // where the values are held at their last normal one
    EXPECT_NEAR(at(FUNCTION(gelu_tanh<bf16>), x), x * s, std::fabs(x * s) * bound + floor) << x;
    EXPECT_NEAR(at(FUNCTION(silu<bf16>), x), x * sigma, std::fabs(x * sigma) * bound + floor) << x;
    EXPECT_NEAR(at(FUNCTION(gelu_tanh_grad<bf16>), x), slope, bound) << x;
    EXPECT_NEAR(at(FUNCTION(silu_grad<bf16>), x), sigma + b * sigma * sigmoid(-b), bound) << x;
  }
}

TEST(Vmath, precision_of_bf16) {
  for (uint32_t bits = 0x3f800000; bits < 0x40000000; bits += lanes) {  // all of [1, 2)
    float x[lanes], y[lanes];
    for (int i = 0; i < lanes; ++i) x[i] = std::bit_cast<float>(bits + uint32_t(i));
    to_bf16_precision(F32x16::load(x)).store(y);
    for (int i = 0; i < lanes; ++i) ASSERT_EQ(y[i], float(bf16(x[i]))) << x[i];
  }
  EXPECT_EQ(at(FUNCTION(to_bf16_precision), -0x1.01p-126f), -0x1p-126f);  // ties to even
  EXPECT_EQ(at(FUNCTION(to_bf16_precision), 0x1.03p110f), 0x1.04p110f);
}

TEST(Vmath, gates_round_to_bf16_first) {
  for (const float x : {1.001f, 3.999f, -0.7001f}) {
    const float y = float(bf16(x));
    EXPECT_EQ(at(FUNCTION(gelu_tanh<bf16>), x), at(FUNCTION(gelu_tanh<bf16>), y)) << x;
    EXPECT_EQ(at(FUNCTION(gelu_tanh_grad<bf16>), x), at(FUNCTION(gelu_tanh_grad<bf16>), y)) << x;
  }
}

TEST(Vmath, power) {
  const FlushDenormals mode;
  double largest = 0;
  uint64_t state = 1;
  for (int i = 0; i < 200000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const float x = std::bit_cast<float>(uint32_t(state >> 33) % 0x7f000000u + 0x00800000u);
    const float near_one = 0.5f + float(state >> 40) / 16777216.0f;
    const float y = std::ldexp(float(int32_t(state >> 16)), int(state >> 8 & 31) - 40);
    float r[lanes];
    pow(F32x16(x), y).store(r);
    largest = std::max(largest, ulps(r[0], std::pow(double(x), double(y))));
    pow(F32x16(near_one), y).store(r);
    largest = std::max(largest, ulps(r[0], std::pow(double(near_one), double(y))));
  }
  EXPECT_LT(largest, 3.5);
}

TEST(Vmath, power_at_the_special_points) {
  const float points[] = {0.0f, -0.0f, 1.0f,  -1.0f,  2.0f,     -2.0f,     3.0f,        -3.0f,
                          0.5f, -0.5f, 1e30f, -1e30f, infinity, -infinity, not_a_number};
  for (const float x : points)
    for (const float y : points) {
      const float expected = float(std::pow(double(x), double(y)));
      float r[lanes];
      pow(F32x16(x), y).store(r);
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(r[0])) << x << "^" << y;
      } else {
        EXPECT_LE(ulps(r[0], double(expected)), 2) << x << "^" << y;
        EXPECT_EQ(std::signbit(r[0]), std::signbit(expected)) << x << "^" << y;
      }
    }
}

TEST(Vmath, limits) {
  EXPECT_EQ(at(FUNCTION(exp), infinity), infinity);
  EXPECT_EQ(at(FUNCTION(exp), -infinity), 0.0f);
  EXPECT_EQ(at(FUNCTION(exp), 88.73f), infinity);
  EXPECT_EQ(at(FUNCTION(exp), 0.0f), 1.0f);
  EXPECT_EQ(at(FUNCTION(exp2), 128.0f), infinity);
  EXPECT_EQ(at(FUNCTION(exp2), -126.0f), tiny);
  EXPECT_EQ(at(FUNCTION(exp2), -infinity), 0.0f);
  EXPECT_EQ(at(FUNCTION(log), infinity), infinity);
  EXPECT_EQ(at(FUNCTION(log), 0.0f), -infinity);
  EXPECT_EQ(at(FUNCTION(log), 1.0f), 0.0f);
  EXPECT_EQ(at(FUNCTION(tanh), infinity), 1.0f);
  EXPECT_EQ(at(FUNCTION(tanh), -infinity), -1.0f);
  EXPECT_EQ(at(FUNCTION(sigmoid), -infinity), 0.0f);
  EXPECT_EQ(at(FUNCTION(sigmoid), infinity), 1.0f);
  EXPECT_EQ(at(FUNCTION(erf), -infinity), -1.0f);
  EXPECT_EQ(at(FUNCTION(gelu_tanh<float>), infinity), infinity);
  EXPECT_EQ(at(FUNCTION(gelu_tanh<bf16>), infinity), infinity);
  EXPECT_GT(at(FUNCTION(gelu_tanh<bf16>), -infinity), -256 * tiny);
  EXPECT_EQ(bf16(at(FUNCTION(gelu_tanh_grad<bf16>), infinity)), bf16(1.0f));
  EXPECT_LT(std::fabs(at(FUNCTION(gelu_tanh_grad<bf16>), -infinity)), 1e-4f);
  EXPECT_EQ(at(FUNCTION(gelu_tanh<float>), -infinity), 0.0f);
  EXPECT_EQ(at(FUNCTION(gelu_tanh_grad<float>), infinity), 1.0f);
  EXPECT_EQ(at(FUNCTION(gelu_tanh_grad<float>), -infinity), 0.0f);
  EXPECT_EQ(at(FUNCTION(silu<float>), infinity), infinity);
  EXPECT_EQ(at(FUNCTION(silu<bf16>), infinity), infinity);
  EXPECT_GT(at(FUNCTION(silu<bf16>), -infinity), -256 * tiny);
  EXPECT_EQ(bf16(at(FUNCTION(silu_grad<bf16>), infinity)), bf16(1.0f));
  EXPECT_LT(std::fabs(at(FUNCTION(silu_grad<bf16>), -infinity)), 1e-4f);
  EXPECT_EQ(at(FUNCTION(silu<float>), -infinity), 0.0f);
  EXPECT_EQ(at(FUNCTION(silu_grad<float>), infinity), 1.0f);
  EXPECT_EQ(at(FUNCTION(silu_grad<float>), -infinity), 0.0f);
  EXPECT_EQ(at(FUNCTION(rsqrt), 0.0f), infinity);
  EXPECT_TRUE(std::isnan(at(FUNCTION(log), -1.0f)));
  EXPECT_TRUE(std::isnan(at(FUNCTION(log), -infinity)));
  EXPECT_TRUE(std::isnan(at(FUNCTION(sin), infinity)));
  EXPECT_TRUE(std::isnan(at(FUNCTION(cos), -infinity)));
  EXPECT_TRUE(std::signbit(at(FUNCTION(sin), -0.0f)));
  EXPECT_TRUE(std::signbit(at(FUNCTION(tanh), -0.0f)));
}

TEST(Vmath, nan_propagates) {
  for (const float y :
       {at(FUNCTION(exp), not_a_number), at(FUNCTION(exp2), not_a_number),
        at(FUNCTION(log), not_a_number), at(FUNCTION(tanh), not_a_number),
        at(FUNCTION(sigmoid), not_a_number), at(FUNCTION(erf), not_a_number),
        at(FUNCTION(sin), not_a_number), at(FUNCTION(cos), not_a_number),
        at(FUNCTION(gelu_tanh<float>), not_a_number),
        at(FUNCTION(gelu_tanh_grad<float>), not_a_number), at(FUNCTION(silu<float>), not_a_number),
        at(FUNCTION(gelu_tanh<bf16>), not_a_number), at(FUNCTION(silu<bf16>), not_a_number),
        at(FUNCTION(gelu_tanh_grad<bf16>), not_a_number),
        at(FUNCTION(silu_grad<bf16>), not_a_number), at(FUNCTION(silu_grad<float>), not_a_number),
        at(FUNCTION(rsqrt), not_a_number)})
    EXPECT_TRUE(std::isnan(y));
}

}  // namespace
}  // namespace weft::kernels::cpu::avx2
