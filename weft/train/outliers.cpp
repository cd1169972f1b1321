#include "weft/train/outliers.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weft::train {

void RecentValues::add(double value) {
  if (values_.size() == most) values_.erase(values_.begin());
  values_.push_back(value);
}

double RecentValues::deviations(double value) const {
  if (values_.size() < least) return 0;
  if (!std::isfinite(value)) return std::numeric_limits<double>::infinity();
  const double n = double(values_.size());
  double sum = 0, squares = 0;
  for (const double x : values_) sum += x;
  for (const double x : values_) squares += (x - sum / n) * (x - sum / n);
  // Equal values have no deviation: then anything above them counts as far.
  const double deviation = std::max(std::sqrt(squares / n), 1e-12 * std::abs(sum / n));
  return deviation > 0 ? (value - sum / n) / deviation : 0;
}

}  // namespace weft::train
