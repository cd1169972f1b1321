#include "weft/base/svg_axis.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "weft/base/format.h"
#include "weft/base/terminal.h"

namespace weft {
namespace {

constexpr int kRoundSteps = 6;  // of an axis that is rounded out

// With as many decimals as the step needs; thousands as K, M, B.
std::string linear_label(double value, double step) {
  if (std::abs(value) < step * 1e-6) return "0";
  if (std::abs(value) >= 10000 && step >= 100) return format_count(value);
  const int decimals = std::max(0, int(-std::floor(std::log10(step) + 1e-9)));
  if (decimals > 5) return format("{:.3g}", value);
  return format("{:.{}f}", value, decimals);
}

std::string log_label(double value) {
  if (value >= 1000 && value < 1e15) return format_count(value);
  const int exponent = int(std::floor(std::log10(value) + 1e-9));
  if (value > 0.9e-4 && value < 1000) return format("{:.{}f}", value, std::max(0, -exponent));
  return format("{:.0f}e{}", value / std::pow(10.0, exponent), exponent);
}

std::vector<PlotTick> linear_ticks(PlotRange range, int count) {
  const double step = round_step(range, count);
  const double slack = 1e-9 * (range.high - range.low) / step;
  std::vector<PlotTick> ticks;
  for (double i = std::ceil(range.low / step - slack); i <= range.high / step + slack; ++i)
    ticks.push_back({i * step, linear_label(i * step, step)});
  return ticks;
}

std::vector<PlotTick> log_ticks(PlotRange range, int count) {
  const double decades = std::log10(range.high / range.low);
  const int every = std::max(1, int(std::ceil(decades / count)));
  const bool between = decades * 3 <= count;
  std::vector<PlotTick> ticks;
  for (int e = int(std::floor(std::log10(range.low))); e <= std::log10(range.high) + 1e-9; ++e) {
    if (e % every != 0) continue;
    for (const int digit : {1, 2, 5}) {
      const double value = digit * std::pow(10.0, e);
      const bool inside = value >= range.low * (1 - 1e-9) && value <= range.high * (1 + 1e-9);
      if (inside && (digit == 1 || between)) ticks.push_back({value, log_label(value)});
    }
  }
  return ticks;
}

}  // namespace

double round_step(PlotRange range, int count) {
  const double rough = (range.high - range.low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double digit : {1.0, 2.0, 5.0})
    if (digit * power >= rough * (1 - 1e-9)) return digit * power;
  return 10 * power;
}

std::vector<PlotTick> axis_ticks(PlotRange range, bool log, int count) {
  if (log) {
    std::vector<PlotTick> ticks = log_ticks(range, count);
    if (ticks.size() >= 2) return ticks;
  }
  return linear_ticks(range, count);
}

PlotRange fit_range(const std::vector<double>& values, bool log, bool round) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  PlotRange range{infinity, -infinity};
  for (const double v : values) {
    if (!std::isfinite(v) || (log && v <= 0)) continue;
    range.low = std::min(range.low, v), range.high = std::max(range.high, v);
  }
  if (range.low > range.high) return log ? PlotRange{1, 10} : PlotRange{0, 1};
  if (log) {
    const bool single = range.high <= range.low * (1 + 1e-9);
    const double margin = single ? 2 : round ? std::pow(range.high / range.low, 0.05) : 1;
    return {range.low / margin, range.high * margin};
  }
  if (range.high - range.low <= 1e-12 * std::max(std::abs(range.low), std::abs(range.high)) ||
      range.high == range.low) {
    const double margin = range.low == 0 ? 1 : std::abs(range.low) * 0.1;
    range = {range.low - margin, range.high + margin};
  }
  if (!round) return range;
  const double step = round_step(range, kRoundSteps);
  return {std::floor(range.low / step + 1e-9) * step, std::ceil(range.high / step - 1e-9) * step};
}

bool PlotScale::shows(double value) const {
  return std::isfinite(value) && (!log || value > 0);
}

double PlotScale::pixel(double value) const {
  const double share = log ? std::log(value / range.low) / std::log(range.high / range.low)
                           : (value - range.low) / (range.high - range.low);
  return from + share * (to - from);
}

}  // namespace weft
