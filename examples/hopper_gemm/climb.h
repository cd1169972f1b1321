// Going up a ladder: every step is checked against the library's result, then timed in turns with
// the library's kernel, so that heat and clocks hit both alike.
#pragma once
#include <cstdio>
#include <functional>
#include <string>

#include "bench/hopper/device_data.h"
#include "bench/hopper/timing.h"
#include "examples/hopper_gemm/limits.h"
#include "weft/base/error.h"

namespace ladder {

using Run = std::function<void(std::byte* result)>;

struct Step {
  const char* name;
  Needs needs;
  bool same_bits;  // as the library's; else nearly
  const char* bought;
};

class Ladder {
 public:
  // results: numbers of bf16 that a run writes.
  Ladder(CudaDevice& gpu, const Limits& limits, double operations, int64_t results, Run library,
         int rounds)
      : gpu_(gpu),
        limits_(limits),
        operations_(operations),
        results_(results),
        rounds_(rounds),
        library_(std::move(library)) {
    expected_ = gpu.allocate(size_t(results) * 2), result_ = gpu.allocate(size_t(results) * 2);
    library_(expected_->data());
    gpu.stream().synchronize();
  }

  const weft::BufferPtr& expected() const { return expected_; }

  // In 10^12 operations a second; without rounds only right or wrong.
  struct Reached {
    double rate, roof;
  };
  Reached climb(int number, const Step& step, const Run& run) {
    const double first = check(step, run);
    if (rounds_ == 0) {
      std::printf("%2d %-19s is right\n", number, step.name);
      return {};
    }
    const Roof roof = roof_of(step.needs, limits_);
    const Rates r = rates(run, first);
    std::printf("%2d %-19s %6.1f of %6.1f (%3.0f%%, %s), %5.1f%% of Weft's: %s\n", number,
                step.name, r.step / 1e12, roof.rate / 1e12, 100 * r.step / roof.rate, roof.name,
                100 * r.step / r.library, step.bought);
    std::fflush(stdout);
    return {r.step / 1e12, roof.rate / 1e12};
  }

 private:
  struct Rates {
    double step, library;
  };

  double seconds(const Run& run, int launches, const weft::BufferPtr& to) {
    return 1e-3 / launches * weft::bench::milliseconds(gpu_.stream(), [&] {
             for (int i = 0; i < launches; ++i) run(to->data());
           });
  }
  // The time of the run whose result was compared.
  double check(const Step& step, const Run& run) {
    gpu_.stream().fill(result_->data(), 0xff, result_->bytes());  // not a number
    const double time = seconds(run, 1, result_);
    const auto d = weft::bench::difference(gpu_, result_, expected_, results_, false);
    WEFT_CHECK(d.relative < 4e-3 && (d.bits == 0 || !step.same_bits),
               "step {} is wrong: it differs by {} from the library, in {:.3f}% of all numbers",
               step.name, d.relative, 100 * d.bits);
    return time;
  }
  Rates rates(const Run& run, double first) {
    constexpr double slow = 0.1, enough = 0.03;  // seconds
    const int launches = std::clamp(int(enough / first), 1, 40);
    std::vector<double> step, library;
    for (int round = 0; round < rounds_; ++round) {
      step.push_back(first > slow ? first : seconds(run, launches, result_));
      library.push_back(seconds(library_, 20, expected_));
    }
    return {operations_ / weft::bench::median(step), operations_ / weft::bench::median(library)};
  }

  CudaDevice& gpu_;
  const Limits& limits_;
  double operations_;
  int64_t results_;
  int rounds_;
  Run library_;
  weft::BufferPtr expected_, result_;
};

}  // namespace ladder
