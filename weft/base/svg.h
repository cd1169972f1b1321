// Plots as SVG text: one file that a browser shows as it is, light or dark as the reader prefers,
// without scripts.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace weft {

struct PlotRange {
  double low, high;  // low < high, in data units; above 0 on a log axis
};

struct PlotAxis {
  std::string label{};
  bool log = false;
  std::optional<PlotRange> range{};  // none: what the data needs, a little rounded
};

// A line through the points in their order, or the points alone. What is not finite, or not above 0
// on a log axis, is skipped and breaks the line.
struct PlotSeries {
  std::string label{};           // empty: not in the legend
  std::vector<double> x{}, y{};  // the same length
  bool points = false;
  int color = -1;  // of the palette of kPlotColors; -1: its own index
};
constexpr int kPlotColors = 6;

// A dashed horizontal line: a limit or a goal.
struct PlotReference {
  std::string label;
  double y;
};

// Cells filled behind everything else, such as what a classifier says everywhere.
struct PlotRaster {
  PlotRange x, y;
  int columns, rows;
  std::vector<int> color{};        // [rows * columns] of the palette; row 0 is at y.low
  std::vector<double> strength{};  // [rows * columns] 0: transparent, 1: full
};

struct Plot {
  std::string title{};
  PlotAxis x{}, y{};
  std::vector<PlotSeries> series{};
  std::vector<PlotReference> references{};
  std::optional<PlotRaster> raster{};
  int width = 760, height = 440;  // pixels

  // The document. Throws a user error for a range that makes no sense.
  std::string svg() const;
};

}  // namespace weft
