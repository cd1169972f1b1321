// Steps that lie far outside of what came before them: their gradients do more harm than good.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

namespace weft::train {

// The newest values, and how far above them another one lies. Finite values only.
class RecentValues {
 public:
  static constexpr size_t most = 128, least = 32;

  RecentValues() = default;
  // Oldest first.
  explicit RecentValues(std::vector<double> values) : values_(std::move(values)) {}

  void add(double value);
  // Standard deviations above the mean; infinite for what is not finite. 0 as long as there are
  // fewer than `least`, whatever it is.
  double deviations(double value) const;
  const std::vector<double>& values() const { return values_; }

 private:
  std::vector<double> values_;
};

}  // namespace weft::train
