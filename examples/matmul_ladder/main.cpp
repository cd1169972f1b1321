// From three loops to the processor's matrix unit: one product of matrices, eight times, each time
// nearer to what the machine can do. Every step is a short file beside this one.
//
//   example_matmul_ladder [--quick] [--svg FILE]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "bench/limits.h"
#include "examples/matmul_ladder/step1_loops.h"
#include "examples/matmul_ladder/step2_order.h"
#include "examples/matmul_ladder/step4_packing.h"
#include "examples/matmul_ladder/step5_avx512.h"
#include "examples/matmul_ladder/step7_amx.h"
#include "weft/base/file.h"
#include "weft/base/random.h"
#include "weft/base/svg.h"
#include "weft/weft.h"

using namespace ladder;
using weft::Isa;

namespace {

// Multiply-adds on registers alone, one thread, in operations a second: the roof of a step.
double roof_of(Isa isa) {
  const bool amx = isa == Isa::amx, pairs = isa == Isa::avx512_bf16;
  const double flops = amx     ? 4 * 2 * 16 * 16 * 32
                       : pairs ? 12 * 4 * 16
                               : 12 * 2 * (isa == Isa::avx2 ? 8 : 16);
  const double seconds = weft::bench::least_seconds([&] {
    amx     ? weft::bench::tiles_loop()
    : pairs ? weft::bench::pairs_loop()
            : weft::bench::fma_loop(isa);
  });
  return flops * double(weft::bench::unit_rounds) / seconds;
}

struct Inputs {
  std::vector<float> a, b, c;
  std::vector<bf16> a16, b16;
  Inputs() : a(n * n), b(n * n), c(n * n), a16(n * n), b16(n * n) {
    const weft::Philox random{1};
    for (size_t i = 0; i < a.size(); ++i) {
      const auto words = random(i);
      a16[i] = bf16(float(words[0]) * 0x1p-32f - 0.5f), a[i] = float(a16[i]);
      b16[i] = bf16(float(words[1]) * 0x1p-32f - 0.5f), b[i] = float(b16[i]);
    }
  }
  Product product() { return {a.data(), b.data(), a16.data(), b16.data(), c.data()}; }
};

// The largest error of some sums against f64.
double error_of(const Inputs& x) {
  double error = 0;
  for (int i = 0; i < n; i += 37)
    for (int j = 0; j < n; j += 41) {
      double sum = 0;
      for (int k = 0; k < n; ++k) sum += double(x.a[size_t(i * n + k)]) * x.b[size_t(k * n + j)];
      error = std::max(error, std::abs(sum - x.c[size_t(i * n + j)]));
    }
  return error;
}

double rate_of(int runs, const std::function<void()>& work) {
  double least = 1e30;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> s = std::chrono::steady_clock::now() - start;
    least = std::min(least, s.count());
  }
  return 2.0 * n * n * n / least;
}

// On the default device, by its best unit and all its threads.
class WeftProduct {
 public:
  explicit WeftProduct(const Inputs& x) : a_(tensor(x.a16)), b_(tensor(x.b16)) { product_(a_, b_); }
  void run(Inputs& x) {
    const weft::Tensor c = product_(a_, b_);
    std::memcpy(x.c.data(), c.value().data(), x.c.size() * sizeof(float));
  }

 private:
  static weft::Tensor tensor(const std::vector<bf16>& values) {
    return weft::Array::from<bf16>(weft::default_device(), {n, n}, values);
  }
  weft::Tensor a_, b_;
  weft::Jit<std::function<weft::Tensor(weft::Tensor, weft::Tensor)>> product_{
      [](weft::Tensor a, weft::Tensor b) {
        return weft::cast(weft::matmul(a, b, "ik,kj->ij"), weft::DType::f32);
      },
      {}};
};

struct Step {
  const char* name;
  Isa isa;  // what it needs, and whose roof it is under
  void (*run)(const Product&);
  const char* bought;
};
constexpr Step steps[] = {
    {"three loops", Isa::avx2, three_loops,
     "nothing yet: each sum waits for the last, B column by column"},
    {"along rows", Isa::avx2, along_rows,
     "eight sums at a time; each is loaded and stored for every k"},
    {"in registers", Isa::avx2, in_registers, "96 sums stay in registers; B is read across pages"},
    {"packed", Isa::avx2, packed, "B in the order in which it is read"},
    {"AVX-512", Isa::avx512, wide_registers, "registers twice as wide, twice as many"},
    {"pairs of bf16", Isa::avx512_bf16, pairs, "two multiply-adds in a lane, half the bytes"},
    {"AMX tiles", Isa::amx, tiles, "8192 multiply-adds in one instruction"},
};

// Runs steps and keeps their rates for the plot.
class Ladder {
 public:
  explicit Ladder(int runs) : runs_(runs) {}

  // False if the result is wrong. `limit` is the unit's, in operations a second.
  bool climb(const char* name, double limit, double most_error, const char* bought,
             const std::function<void()>& work) {
    std::fill(x.c.begin(), x.c.end(), NAN);
    const double rate = rate_of(runs_, work);
    std::printf("%d %-15s %7.1f of %7.1f (%3.0f%%)  %s\n", ++number_, name, rate / 1e9, limit / 1e9,
                100 * rate / limit, bought);
    measured_.x.push_back(number_), measured_.y.push_back(rate / 1e9);
    limit_.x.push_back(number_), limit_.y.push_back(limit / 1e9);
    const double error = error_of(x);
    if (error < most_error) return true;
    std::printf("  but it is wrong by %g\n", error);
    return false;
  }
  void skip(const char* name) { std::printf("%d %-15s not on this processor\n", ++number_, name); }
  std::string svg() const {
    weft::Plot plot{.title = "One product, eight ways", .x = {.label = "step"}};
    plot.y = {.label = "10^9 operations a second", .log = true};
    plot.series = {measured_, limit_};
    return plot.svg();
  }

  Inputs x;

 private:
  int runs_, number_ = 0;
  weft::PlotSeries measured_{.label = "measured", .points = true};
  weft::PlotSeries limit_{.label = "what the unit can do"};
};

bool climb_all(Ladder& ladder) {
  const Isa best = weft::selected_isa();  // asks for AMX before there are threads
  double limit = 0;
  for (const Step& step : steps) {
    if (step.isa > best) {
      ladder.skip(step.name);
      continue;
    }
    limit = roof_of(step.isa);
    if (!ladder.climb(step.name, limit, 1e-3, step.bought, [&] { step.run(ladder.x.product()); }))
      return false;
  }
  weft::CpuDevice device(0);
  weft::set_default_device(device);
  WeftProduct weft_product(ladder.x);
  constexpr double rounding = 0.05;  // Weft's product is rounded to bf16
  return ladder.climb("all processors", limit * double(std::thread::hardware_concurrency()),
                      rounding, "Weft's own, which gives the same bits on all of them",
                      [&] { weft_product.run(ladder.x); });
}

}  // namespace

int main(int argc, char** argv) {
  std::string svg;
  int runs = 5;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--quick")) runs = 1;
    if (!std::strcmp(argv[i], "--svg") && i + 1 < argc) svg = argv[++i];
  }
  std::printf("C = A B, %d x %d, in 10^9 operations a second\n", n, n);
  Ladder ladder(runs);
  if (!climb_all(ladder)) return 1;
  if (!svg.empty()) weft::write_file_atomic(svg, std::string_view(ladder.svg()));
}
