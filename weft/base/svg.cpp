#include "weft/base/svg.h"

#include <algorithm>
#include <cmath>

#include "weft/base/error.h"
#include "weft/base/svg_axis.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

// Hues that differ in lightness too, for readers who see few of them. {on white, on black}
constexpr const char* kPalette[kPlotColors][2] = {{"#2a6db8", "#6cb0f5"}, {"#d4622a", "#f59a66"},
                                                  {"#2b8a63", "#5fcb9b"}, {"#8456b8", "#b99af0"},
                                                  {"#a37a00", "#e2bd4f"}, {"#5c6675", "#a8b3c2"}};
constexpr double kTextWidth = 6.4;  // pixels of a character of 12 px, about
constexpr double kTop = 44, kBottom = 50, kRight = 24;
constexpr int kStrengths = 12;  // steps of a raster's opacity, so that equal cells merge

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : replace_invalid_utf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += uint8_t(c) < 0x20 ? ' ' : c;  // XML has no control characters
    }
  }
  return out;
}

// Pixels with one decimal place at most.
std::string px(double x) {
  std::string text = format("{:.1f}", x);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

double text_width(std::string_view text) {
  double characters = 0;
  for (const char c : text) characters += (uint8_t(c) & 0xC0) != 0x80;
  return characters * kTextWidth;
}

std::string theme(int dark) {
  const char* const paper = dark ? "#14171c" : "#ffffff";
  std::string css = format(
      ".paper{{fill:{}}} .halo{{stroke:{}}} .ink{{fill:{}}} .soft{{fill:{}}} .grid{{stroke:{}}} "
      ".axis{{stroke:{}}} .goal{{stroke:{}}}",
      paper, paper, dark ? "#e8ebf0" : "#1d222b", dark ? "#9aa4b2" : "#667080",
      dark ? "#272c34" : "#e8ebef", dark ? "#4a525e" : "#b4bcc6", dark ? "#c3cbd6" : "#3c4654");
  for (int i = 0; i < kPlotColors; ++i)
    css += format(" .line{0}{{stroke:{1}}} .fill{0}{{fill:{1}}}", i, kPalette[i][dark]);
  return css;
}

// One picture in the making. The plot's frame is [left, right] x [top, bottom] in pixels.
class Drawing {
 public:
  explicit Drawing(const Plot& plot) : plot_(plot) {
    for (const PlotSeries& s : plot.series)
      WEFT_CHECK(s.x.size() == s.y.size(), "{}: {} x, {} y", s.label, s.x.size(), s.y.size());
    place();
  }

  std::string draw() {
    head();
    frame();
    open_clip();
    if (plot_.raster) raster(*plot_.raster);
    for (const PlotReference& r : plot_.references) reference_line(r);
    for (size_t i = 0; i < plot_.series.size(); ++i) series(plot_.series[i], color(i));
    out_ += "</svg>\n";
    reference_labels();
    legend(true);
    out_ += "</svg>\n";
    return std::move(out_);
  }

 private:
  template <class... Args>
  void write(fmt::format_string<Args...> text, Args&&... args) {
    out_ += format(text, std::forward<Args>(args)...);
    out_ += '\n';
  }
  int color(size_t i) const {
    const int own = plot_.series[i].color;
    return (own >= 0 ? own : int(i)) % kPlotColors;
  }

  static PlotRange checked(const PlotAxis& axis, PlotRange range) {
    const bool right = std::isfinite(range.low) && std::isfinite(range.high) &&
                       range.low < range.high && (!axis.log || range.low > 0);
    if (!right)
      user_error(
          "The axis \"{}\" of a plot must go from a smaller to a larger number{}, got {} to {}.",
          axis.label, axis.log ? " above 0" : "", range.low, range.high);
    return range;
  }

  // Ranges first, then margins: the left one is as wide as the labels there.
  void place() {
    std::vector<double> xs, ys;
    bool points = false;
    for (const PlotSeries& s : plot_.series) {
      xs.insert(xs.end(), s.x.begin(), s.x.end());
      ys.insert(ys.end(), s.y.begin(), s.y.end());
      points = points || s.points;
    }
    for (const PlotReference& r : plot_.references) ys.push_back(r.y);
    if (plot_.raster) {
      xs = {plot_.raster->x.low, plot_.raster->x.high};
      ys = {plot_.raster->y.low, plot_.raster->y.high};
    }
    const bool round = !plot_.raster;
    x_ = {plot_.x.range.value_or(fit_range(xs, plot_.x.log, round && points)), plot_.x.log, 0, 0};
    y_ = {plot_.y.range.value_or(fit_range(ys, plot_.y.log, round)), plot_.y.log, 0, 0};
    checked(plot_.x, x_.range), checked(plot_.y, y_.range);

    y_ticks_ = axis_ticks(y_.range, y_.log, std::max(2, plot_.height / 70));
    x_ticks_ = axis_ticks(x_.range, x_.log, std::max(2, plot_.width / 110));
    double widest = 0;
    for (const PlotTick& tick : y_ticks_) widest = std::max(widest, text_width(tick.label));
    x_.from = 18 + widest + (plot_.y.label.empty() ? 0 : 20);
    x_.to = plot_.width - kRight;
    y_.from = plot_.height - kBottom;
    y_.to = kTop + 22 * legend(false);
  }

  void head() {
    write(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"weft-plot\" width=\"{0}\" "
        "height=\"{1}\" "
        "viewBox=\"0 0 {0} {1}\" role=\"img\">",
        plot_.width, plot_.height);
    write("<title>{}</title>", escape(plot_.title));
    write("<style>");
    write(
        "text{{font:12px system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,"
        "sans-serif}} .title{{font-size:16px;font-weight:600}} "
        ".halo{{stroke-width:4;stroke-linejoin:round;paint-order:stroke}}");
    write(
        ".line{{fill:none;stroke-width:1.75;stroke-linejoin:round;stroke-linecap:round}} "
        ".grid,.axis{{stroke-width:1}} .goal{{stroke-width:1.5;stroke-dasharray:6 5}} "
        ".dot{{stroke-width:1}}");
    write("{}", theme(0));
    write("@media (prefers-color-scheme:dark){{{}}}", theme(1));
    write("</style>");
    write("<rect class=\"paper\" width=\"{}\" height=\"{}\"/>", plot_.width, plot_.height);
    write("<text class=\"title ink\" x=\"{}\" y=\"28\">{}</text>", px(x_.from),
          escape(plot_.title));
  }

  void frame() {
    for (const PlotTick& tick : y_ticks_) {
      const std::string y = px(y_.pixel(tick.value));
      if (!plot_.raster)
        write("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", px(x_.from),
              px(x_.to), y, y);
      write("<text class=\"soft\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", px(x_.from - 8),
            px(y_.pixel(tick.value) + 4), escape(tick.label));
    }
    for (const PlotTick& tick : x_ticks_) {
      const std::string x = px(x_.pixel(tick.value));
      write("<line class=\"axis\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", x, x, px(y_.from),
            px(y_.from + 5));
      write("<text class=\"soft\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>", x,
            px(y_.from + 19), escape(tick.label));
    }
    write("<line class=\"axis\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", px(x_.from), px(x_.to),
          px(y_.from), px(y_.from));
    write("<text class=\"ink\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
          px((x_.from + x_.to) / 2), px(y_.from + 40), escape(plot_.x.label));
    if (!plot_.y.label.empty())
      write(
          "<text class=\"ink\" transform=\"translate(18 {}) rotate(-90)\" "
          "text-anchor=\"middle\">{}</text>",
          px((y_.from + y_.to) / 2), escape(plot_.y.label));
  }

  // A nested svg clips without an id, so that many plots can stand in one page. Its viewBox keeps
  // the coordinates.
  void open_clip() {
    const double width = x_.to - x_.from, height = y_.from - y_.to;
    write(
        "<svg x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{3}\" viewBox=\"{0} {1} {2} {3}\" "
        "overflow=\"hidden\">",
        px(x_.from), px(y_.to - 4), px(width + 4), px(height + 4));
  }

  // Runs of equal cells become one rectangle. Edges are whole pixels: no seams.
  void raster(const PlotRaster& r) {
    const size_t cells = size_t(r.columns) * size_t(r.rows);
    WEFT_CHECK(r.color.size() == cells && r.strength.size() == cells,
               "{} cells, {} colors, {} strengths", cells, r.color.size(), r.strength.size());
    const auto level = [&](size_t i) {
      const double s = std::isfinite(r.strength[i]) ? std::clamp(r.strength[i], 0.0, 1.0) : 0.0;
      return int(std::lround(s * kStrengths));
    };
    write("<g shape-rendering=\"crispEdges\">");
    for (int row = 0; row < r.rows; ++row) {
      const size_t base = size_t(row) * size_t(r.columns);
      for (int start = 0, end; start < r.columns; start = end) {
        const size_t first = base + size_t(start);
        for (end = start + 1; end < r.columns; ++end) {
          const size_t next = base + size_t(end);
          if (r.color[next] != r.color[first] || level(next) != level(first)) break;
        }
        if (level(first) > 0)
          raster_run(r, row, start, end, r.color[first], double(level(first)) / kStrengths);
      }
    }
    write("</g>");
  }
  void raster_run(const PlotRaster& r, int row, int start, int end, int cell_color,
                  double opacity) {
    const double dx = (r.x.high - r.x.low) / r.columns, dy = (r.y.high - r.y.low) / r.rows;
    const double left = std::round(x_.pixel(r.x.low + start * dx));
    const double right = std::round(x_.pixel(r.x.low + end * dx));
    const double bottom = std::round(y_.pixel(r.y.low + row * dy));
    const double top = std::round(y_.pixel(r.y.low + (row + 1) * dy));
    write(
        "<rect class=\"fill{}\" fill-opacity=\"{:.2f}\" x=\"{}\" y=\"{}\" width=\"{}\" "
        "height=\"{}\"/>",
        cell_color % kPlotColors, opacity, px(left), px(top), px(right - left), px(bottom - top));
  }

  void reference_line(const PlotReference& r) {
    if (!y_.shows(r.y)) return;
    const std::string y = px(y_.pixel(r.y));
    write("<line class=\"goal\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", px(x_.from), px(x_.to),
          y, y);
  }

  // Above its line, at the right end or, if that is emptier, at the left one.
  void reference_labels() {
    std::vector<Box> placed;
    for (const PlotReference& r : plot_.references) {
      if (!y_.shows(r.y) || r.y < y_.range.low || r.y > y_.range.high) continue;
      const double y = y_.pixel(r.y), width = text_width(r.label);
      const Box left{x_.from + 4, x_.from + 4 + width, y - 18, y - 3};
      const Box right{x_.to - 4 - width, x_.to - 4, y - 18, y - 3};
      const bool at_left = crowd(left, placed) < crowd(right, placed);
      placed.push_back(at_left ? left : right);
      write("<text class=\"ink halo\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>",
            px(at_left ? left.left : right.right), px(y - 6), at_left ? "start" : "end",
            escape(r.label));
    }
  }
  struct Box {
    double left, right, top, bottom;
  };
  // How many points of the series a label would cover; another label counts as many.
  int crowd(const Box& box, const std::vector<Box>& labels) const {
    int n = 0;
    for (const Box& other : labels)
      if (other.left < box.right && box.left < other.right && other.top < box.bottom &&
          box.top < other.bottom)
        n += 1000;
    for (const PlotSeries& s : plot_.series) {
      for (size_t i = 0; i < s.x.size(); ++i) {
        if (!x_.shows(s.x[i]) || !y_.shows(s.y[i])) continue;
        const double x = x_.pixel(s.x[i]), y = y_.pixel(s.y[i]);
        n += x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
      }
    }
    return n;
  }

  void series(const PlotSeries& s, int hue) {
    std::string path;
    bool pen_down = false;
    for (size_t i = 0; i < s.x.size(); ++i) {
      const bool shown = x_.shows(s.x[i]) && y_.shows(s.y[i]);
      if (!shown) {
        pen_down = false;
        continue;
      }
      const std::string x = px(x_.pixel(s.x[i])), y = px(y_.pixel(s.y[i]));
      if (s.points) {
        write("<circle class=\"dot fill{} halo\" cx=\"{}\" cy=\"{}\" r=\"3.5\"/>", hue, x, y);
      } else {
        path += format("{}{} {}", pen_down ? "L" : "M", x, y);
        pen_down = true;
      }
    }
    if (!path.empty()) write("<path class=\"line line{}\" d=\"{}\"/>", hue, path);
  }

  // Returns the rows it takes; draws them if asked to.
  int legend(bool draw_it) {
    double x = x_.from;
    int rows = 0;
    for (size_t i = 0; i < plot_.series.size(); ++i) {
      const PlotSeries& s = plot_.series[i];
      if (s.label.empty()) continue;
      const double width = 26 + text_width(s.label) + 20;
      if (rows == 0 || x + width > x_.to + 20) x = x_.from, ++rows;
      if (draw_it) legend_entry(s, color(i), x, kTop + 22 * (rows - 1) + 4);
      x += width;
    }
    return rows;
  }
  void legend_entry(const PlotSeries& s, int hue, double x, double y) {
    if (s.points) {
      write("<circle class=\"fill{}\" cx=\"{}\" cy=\"{}\" r=\"4\"/>", hue, px(x + 10), px(y));
    } else {
      write("<path class=\"line line{}\" d=\"M{} {}h18\"/>", hue, px(x), px(y));
    }
    write("<text class=\"ink\" x=\"{}\" y=\"{}\">{}</text>", px(x + 26), px(y + 4),
          escape(s.label));
  }

  const Plot& plot_;
  PlotScale x_{}, y_{};
  std::vector<PlotTick> x_ticks_, y_ticks_;
  std::string out_;
};

}  // namespace

std::string Plot::svg() const {
  return Drawing(*this).draw();
}

}  // namespace weft
