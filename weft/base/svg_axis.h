// Where a value of a plot lies in pixels, and the values that an axis names.
#pragma once
#include <string>
#include <vector>

#include "weft/base/svg.h"

namespace weft {

// The step of a round axis: 1, 2 or 5 times a power of ten, for about `count` steps.
double round_step(PlotRange range, int count);

struct PlotTick {
  double value;
  std::string label;
};
// Inside of the range. Linear: multiples of round_step. Log: powers of ten, with 2 and 5 between
// them where they are few; a linear axis's where there would be less than two.
std::vector<PlotTick> axis_ticks(PlotRange range, bool log, int count);

// Holds all of `values` that the axis can show, and is never empty. `round`: out to the next ticks
// or a little further on a log axis.
PlotRange fit_range(const std::vector<double>& values, bool log, bool round);

struct PlotScale {
  PlotRange range;
  bool log;
  double from, to;  // pixels of range.low and range.high

  bool shows(double value) const;
  double pixel(double value) const;
};

}  // namespace weft
