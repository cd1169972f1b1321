#include "weft/base/svg.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include "weft/base/error.h"
#include "weft/base/svg_axis.h"

namespace weft {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The value of the quoted string or bare text between the two.
std::vector<std::string> all_between(const std::string& text, const std::string& before,
                                     const std::string& after) {
  std::vector<std::string> found;
  for (size_t at = text.find(before); at != text.npos; at = text.find(before, at + 1)) {
    const size_t start = at + before.size();
    found.push_back(text.substr(start, text.find(after, start) - start));
  }
  return found;
}

// Empty if tags are balanced, attributes quoted and & begins an entity; else what is wrong and
// where.
std::string xml_error(const std::string& xml) {
  std::vector<std::string> open;
  for (size_t at = 0; at < xml.size();) {
    if (xml[at] == '&' && xml.substr(at, 5) != "&amp;" && xml.substr(at, 4) != "&lt;" &&
        xml.substr(at, 4) != "&gt;" && xml.substr(at, 6) != "&quot;")
      return "a bare & at " + xml.substr(at, 20);
    if (xml[at] != '<') {
      ++at;
      continue;
    }
    const size_t end = xml.find('>', at);
    if (end == xml.npos) return "a tag left open";
    const std::string tag = xml.substr(at + 1, end - at - 1);
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return "a quote left open in " + tag;
    const std::string name =
        tag.substr(tag[0] == '/', tag.find_first_of(" /", 1) - (tag[0] == '/'));
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "an end without a start: " + tag;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
    at = end + 1;
  }
  return open.empty() ? "" : "never ended: " + open.back();
}

Plot line_plot(std::vector<double> x, std::vector<double> y) {
  Plot plot{.title = "Loss", .x = {.label = "step"}, .y = {.label = "nats"}};
  plot.series.push_back({.label = "train", .x = std::move(x), .y = std::move(y)});
  return plot;
}

TEST(Svg, IsWellFormedWhateverTheTextsAre) {
  Plot plot = line_plot({0, 1}, {2, 1});
  plot.title = "a < b && \"c\" > 'd'\x01 \xff";
  plot.x.label = plot.y.label = plot.series[0].label = "<script>alert(1)</script>";
  plot.references = {{"x < 3 & y", 1.5}};
  const std::string svg = plot.svg();
  EXPECT_EQ(xml_error(svg), "");
  EXPECT_EQ(svg.find("<script"), svg.npos);
  EXPECT_NE(svg.find("a &lt; b &amp;&amp; &quot;c&quot; &gt; 'd'  \xEF\xBF\xBD"), svg.npos);
  EXPECT_NE(svg.find("x &lt; 3 &amp; y"), svg.npos);
}

TEST(Svg, CheckerItselfFindsFaults) {
  EXPECT_EQ(xml_error("<a b=\"1\"><c/>x</a>"), "");
  EXPECT_NE(xml_error("<a><b></a></b>"), "");
  EXPECT_NE(xml_error("<a>x & y</a>"), "");
  EXPECT_NE(xml_error("<a b=\"1></a>"), "");
  EXPECT_NE(xml_error("<a>"), "");
}

TEST(Svg, LightAndDarkWithoutScriptsOrLinks) {
  const std::string svg = line_plot({0, 1}, {2, 1}).svg();
  EXPECT_NE(svg.find("@media (prefers-color-scheme:dark)"), svg.npos);
  EXPECT_EQ(all_between(svg, "http", "\"").size(), 1u);  // the namespace
  EXPECT_EQ(svg.find("script"), svg.npos);
}

// The points of the lines: "M10 20L30 40".
TEST(Svg, PlacesValuesWhereTheAxesSay) {
  Plot plot = line_plot({0, 5, 10}, {0, 2, 4});
  plot.x.range = {{0, 10}}, plot.y.range = {{0, 4}};
  const std::string svg = plot.svg();
  const std::string path = all_between(svg, "line0\" d=\"", "\"").at(0);
  double x[3], y[3];
  ASSERT_EQ(std::sscanf(path.c_str(), "M%lf %lfL%lf %lfL%lf %lf", x, y, x + 1, y + 1, x + 2, y + 2),
            6)
      << path;
  EXPECT_NEAR(x[1], (x[0] + x[2]) / 2, 0.11);
  EXPECT_NEAR(y[1], (y[0] + y[2]) / 2, 0.11);
  EXPECT_EQ(y[0], 390);  // 440 less the margin of 50
  EXPECT_EQ(x[2], 736);  // 760 less the margin of 24
  EXPECT_GT(y[0], y[2]);
}

TEST(Svg, LogAxisGivesEqualRoomToEqualRatios) {
  Plot plot = line_plot({1, 10, 100}, {0.1, 1, 10});
  plot.x.log = plot.y.log = true;
  const std::string path = all_between(plot.svg(), "line0\" d=\"", "\"").at(0);
  double x[3], y[3];
  ASSERT_EQ(std::sscanf(path.c_str(), "M%lf %lfL%lf %lfL%lf %lf", x, y, x + 1, y + 1, x + 2, y + 2),
            6);
  EXPECT_NEAR(x[1] - x[0], x[2] - x[1], 0.21);
  EXPECT_NEAR(y[1] - y[0], y[2] - y[1], 0.21);
}

TEST(Svg, WhatIsNotANumberBreaksTheLine) {
  const std::string svg = line_plot({0, 1, 2, 3, 4, 5}, {1, 2, kNan, 3, 4, kInfinity}).svg();
  const std::string path = all_between(svg, "line0\" d=\"", "\"").at(0);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'M'), 2) << path;
  EXPECT_EQ(std::count(path.begin(), path.end(), 'L'), 2) << path;
  EXPECT_EQ(svg.find("nan"), svg.npos);
  EXPECT_EQ(svg.find("inf"), svg.npos);
}

TEST(Svg, NothingToDrawIsStillAPicture) {
  EXPECT_EQ(xml_error(Plot{}.svg()), "");
  EXPECT_EQ(xml_error(line_plot({}, {}).svg()), "");
  Plot plot = line_plot({kNan, 1}, {1, -1});
  plot.y.log = true;
  EXPECT_EQ(xml_error(plot.svg()), "");
  EXPECT_EQ(plot.svg().find("nan"), std::string::npos);
  EXPECT_EQ(xml_error(line_plot({3}, {7}).svg()), "");
}

TEST(Svg, LegendAndPointsAndReferences) {
  Plot plot = line_plot({0, 1}, {2, 1});
  plot.series.push_back({.label = "dots", .x = {0, 0.5, 1}, .y = {1, 2, 3}, .points = true});
  plot.references = {{"entropy", 1.5}, {"below it", 0.5}};
  const std::string svg = plot.svg();
  EXPECT_EQ(all_between(svg, "<circle class=\"dot fill1", "/>").size(), 3u);
  EXPECT_NE(svg.find(">train</text>"), svg.npos);
  EXPECT_NE(svg.find(">dots</text>"), svg.npos);
  EXPECT_EQ(all_between(svg, "class=\"goal\"", "/>").size(), 2u);
}

TEST(Svg, ReferenceLabelsGoWhereTheCurveIsNot) {
  Plot plot = line_plot({}, {});
  for (int i = 0; i <= 100; ++i)
    plot.series[0].x.push_back(i), plot.series[0].y.push_back(1 + 4 * std::exp(-i / 10.0));
  plot.references = {{"the floor of it all", 0.9}};
  EXPECT_EQ(all_between(plot.svg(), "text-anchor=\"start\">", "<"),
            std::vector<std::string>{"the floor of it all"});
}

TEST(Svg, RasterMergesEqualCellsAndLeavesWeakOnesOut) {
  Plot plot{.title = "Moons"};
  plot.raster = PlotRaster{.x = {0, 4},
                           .y = {0, 2},
                           .columns = 4,
                           .rows = 2,
                           .color = {0, 0, 1, 1, 0, 0, 0, 0},
                           .strength = {1, 1, .5, .5, 0, 0, 0, .5}};
  const std::string svg = plot.svg();
  const auto blue = all_between(svg, "<rect class=\"fill0\" ", "/>");
  const auto orange = all_between(svg, "<rect class=\"fill1\" ", "/>");
  ASSERT_EQ(blue.size(), 2u);
  ASSERT_EQ(orange.size(), 1u);
  EXPECT_NE(blue[0].find("fill-opacity=\"1.00\""), std::string::npos);
  EXPECT_NE(orange[0].find("fill-opacity=\"0.50\""), std::string::npos);
}

TEST(Svg, RefusesARangeThatMakesNoSense) {
  Plot plot = line_plot({0, 1}, {2, 1});
  plot.y.range = {{3, 3}};
  EXPECT_THROW((void)plot.svg(), Error);
  plot.y.range = {{0, 3}};
  EXPECT_EQ(xml_error(plot.svg()), "");
  plot.y.log = true;
  EXPECT_THROW((void)plot.svg(), Error);
}

std::vector<std::string> labels(PlotRange range, bool log, int count) {
  std::vector<std::string> all;
  for (const PlotTick& tick : axis_ticks(range, log, count)) all.push_back(tick.label);
  return all;
}
using Labels = std::vector<std::string>;

TEST(SvgAxis, LinearTicksAreRound) {
  EXPECT_EQ(labels({0, 1}, false, 5), (Labels{"0", "0.2", "0.4", "0.6", "0.8", "1.0"}));
  EXPECT_EQ(labels({-1.3, 2.2}, false, 4), (Labels{"-1", "0", "1", "2"}));
  EXPECT_EQ(labels({0, 3e6}, false, 3), (Labels{"0", "1M", "2M", "3M"}));
  EXPECT_EQ(labels({0.0991, 0.1012}, false, 5), (Labels{"0.0995", "0.1000", "0.1005", "0.1010"}));
}

TEST(SvgAxis, LogTicks) {
  EXPECT_EQ(labels({0.1, 5}, true, 6), (Labels{"0.1", "0.2", "0.5", "1", "2", "5"}));
  EXPECT_EQ(labels({1e-6, 1e3}, true, 5), (Labels{"1e-6", "0.0001", "0.01", "1", "100"}));
  EXPECT_EQ(labels({1e4, 1e7}, true, 4), (Labels{"10K", "100K", "1M", "10M"}));
  EXPECT_EQ(labels({3.1, 4.2}, true, 4), (Labels{"3.5", "4.0"}));  // no power of ten in between
}

TEST(SvgAxis, RangesFitAndAreNeverEmpty) {
  const PlotRange a = fit_range({0.1, kNan, 3.9}, false, true);
  EXPECT_EQ(a.low, 0);
  EXPECT_EQ(a.high, 4);
  for (const double v : {0.0, 5.0, -1e9, 1e-300}) {
    const PlotRange one = fit_range({v}, false, true);
    EXPECT_LT(one.low, v + 1e-300);
    EXPECT_GT(one.high, v);
  }
  const PlotRange l = fit_range({-1, 0, 2, 8}, true, false);
  EXPECT_EQ(l.low, 2);
  EXPECT_EQ(l.high, 8);
}

}  // namespace
}  // namespace weft
