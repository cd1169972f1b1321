// What the tests of the row kernels share: inputs, the machines a kernel must agree on bitwise, and
// comparisons.
#pragma once
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulated_tiles.h"
#include "weft/base/format.h"
#include "weft/base/random.h"
#include "weft/device/device.h"
#include "weft/tensor/dtype.h"

namespace weft::kernels::testing {

// Every instruction set this machine has or can emulate, with one thread and with two.
inline std::vector<std::unique_ptr<CpuDevice>> all_cpus() {
  std::vector<std::unique_ptr<CpuDevice>> cpus;
  for (const Isa isa : all_isas)
    for (const int threads : {1, 2})
      if (weft::testing::runs_here(isa)) cpus.push_back(std::make_unique<CpuDevice>(threads, isa));
  return cpus;
}

template <class T>
T to(double v) {
  if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
    return T(float(v));
  else
    return T(v);
}
inline double from(double v) {
  return v;
}
inline double from(float v) {
  return double(v);
}
inline double from(bf16 v) {
  return double(float(v));
}

// About normally distributed (a sum of four uniform numbers) with this mean and deviation.
template <class T>
std::vector<T> normal(int64_t n, uint64_t key, double deviation = 1, double mean = 0) {
  std::vector<T> v(static_cast<size_t>(n));
  const Philox random{key};
  for (size_t i = 0; i < v.size(); ++i) {
    double sum = -2;
    for (const uint32_t word : random(i)) sum += double(uniform_float(word));
    v[i] = to<T>(mean + deviation * sum * std::sqrt(3.0));
  }
  return v;
}

template <class T>
std::vector<double> widened(const std::vector<T>& v) {
  std::vector<double> w;
  for (const T x : v) w.push_back(from(x));
  return w;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// Half a unit in the last place of T, relative.
template <class T>
constexpr double half_ulp() {
  return std::is_same_v<T, bf16> ? 1.0 / 256 : std::is_same_v<T, float> ? 1.0 / (1 << 24) : 1.2e-16;
}

// |got - want| <= relative |want| + absolute, element by element.
template <class T>
void expect_near(const std::vector<T>& got, const std::vector<double>& want, double relative,
                 double absolute, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_LE(std::abs(from(got[i]) - want[i]), relative * std::abs(want[i]) + absolute)
        << what << " [" << i << "]: " << from(got[i]) << ", expected " << want[i];
}

// |a - b| / |b| over whole vectors.
inline double relative_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference += (a[i] - b[i]) * (a[i] - b[i]), norm += b[i] * b[i];
  return std::sqrt(difference / norm);
}

// The gradient of loss() by each element of x, by central differences.
template <class Loss>
std::vector<double> differences(std::vector<double>& x, Loss loss, double step = 1e-5) {
  std::vector<double> gradient;
  for (double& element : x) {
    const double saved = element;
    element = saved + step;
    const double above = loss();
    element = saved - step;
    const double below = loss();
    element = saved;
    gradient.push_back((above - below) / (2 * step));
  }
  return gradient;
}

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace weft::kernels::testing
