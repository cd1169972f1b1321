#include "weft/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "weft/base/error.h"

namespace weft::train {
namespace {

double cosine(const Schedule& s, int64_t step) {
  const int64_t length = std::max<int64_t>(s.steps - s.warmup, 1);
  const double done = std::min(1.0, double(step - s.warmup) / double(length));
  return s.min_lr + 0.5 * (1 + std::cos(std::numbers::pi * done)) * (s.lr - s.min_lr);
}

// The last step has min_lr.
double stable_then_linear(const Schedule& s, int64_t step) {
  const int64_t length = std::max<int64_t>(int64_t(s.decay_fraction * double(s.steps)), 1);
  const int64_t into = step - (s.steps - length) + 1;
  if (into <= 0) return s.lr;
  return s.lr + (s.min_lr - s.lr) * std::min(1.0, double(into) / double(length));
}

}  // namespace

double learning_rate(const Schedule& s, int64_t step) {
  if (step < s.warmup) return s.lr * double(step + 1) / double(s.warmup + 1);
  if (s.kind == "cosine") return cosine(s, step);
  if (s.kind == "wsd") return stable_then_linear(s, step);
  WEFT_CHECK(s.kind == "constant", "schedule {}", s.kind);
  return s.lr;
}

}  // namespace weft::train
