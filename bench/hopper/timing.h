// Device time of what is enqueued on a stream, and what is made of such times.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "weft/device/cuda/cuda_device.h"

namespace weft::bench {

template <class F>
double milliseconds(CudaStream& stream, F&& work) {
  CudaEvent begin, end;
  begin.record(stream);
  work();
  end.record(stream);
  stream.synchronize();
  return end.milliseconds_since(begin);
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Milliseconds of one launch of each of `runs`, in graphs of `launches`, which are told their
// number; medians. Graphs take turns, so that heat hits all alike, and are timed behind a launch of
// their own that is not: the clocks that power allows follow the work by milliseconds.
using Run = std::function<void(int)>;
inline std::vector<double> in_turns(CudaStream& stream, const std::vector<Run>& runs, int launches,
                                    int rounds) {
  std::vector<std::unique_ptr<CudaGraph>> graphs;
  for (const Run& run : runs)
    graphs.push_back(std::make_unique<CudaGraph>(stream, [&] {
      for (int i = 0; i < launches; ++i) run(i);
    }));
  std::vector<std::vector<double>> times(runs.size());
  for (int round = 0; round <= rounds; ++round)
    for (size_t i = 0; i < runs.size(); ++i) {
      graphs[i]->launch(stream);
      const double t = milliseconds(stream, [&] { graphs[i]->launch(stream); });
      if (round > 0) times[i].push_back(t / launches);
    }
  std::vector<double> result;
  for (const auto& t : times) result.push_back(median(t));
  return result;
}

// Ratios of a table's rows, by kind of row; print(): a line for each kind.
class Ratios {
 public:
  void add(const std::string& kind, double ratio) { logs_[kind].push_back(std::log(ratio)); }
  void print() const {
    for (const auto& [kind, logs] : logs_) {
      double sum = 0;
      for (const double r : logs) sum += r;
      std::printf("%s: geometric mean of %zu ratios %.3f, least %.3f\n", kind.c_str(), logs.size(),
                  std::exp(sum / double(logs.size())),
                  std::exp(*std::min_element(logs.begin(), logs.end())));
    }
  }

 private:
  std::map<std::string, std::vector<double>> logs_;
};

}  // namespace weft::bench
