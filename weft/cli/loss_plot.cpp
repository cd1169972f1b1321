#include "weft/cli/loss_plot.h"

#include <algorithm>
#include <string_view>

#include "weft/base/file.h"
#include "weft/base/json.h"

namespace weft::cli {
namespace {

constexpr size_t points = 200;

// Means of equal stretches.
PlotSeries averaged(const PlotSeries& s) {
  PlotSeries out{.label = s.label};
  const size_t stretch = std::max<size_t>(1, s.x.size() / points);
  for (size_t i = 0; i < s.x.size(); i += stretch) {
    const size_t end = std::min(i + stretch, s.x.size());
    double sum = 0;
    for (size_t k = i; k < end; ++k) sum += s.y[k];
    out.x.push_back(s.x[end - 1]), out.y.push_back(sum / double(end - i));
  }
  return out;
}

}  // namespace

void write_loss_plot(const std::string& run, const std::vector<PlotReference>& references) {
  const std::string path = run + "/metrics.jsonl";
  const std::string text = read_file(path, size_t(1) << 30);
  PlotSeries train{.label = "training"}, val{.label = "validation"};
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const Json line = parse_json(std::string_view(text).substr(at, end - at), path);
    at = end + 1;
    const double step = line.value("step", 0.0);
    if (line.contains("loss"))
      train.x.push_back(step), train.y.push_back(line["loss"].get<double>());
    if (line.contains("val_loss") && line["val_loss"].is_number())
      val.x.push_back(step), val.y.push_back(line["val_loss"].get<double>());
  }
  Plot plot{.title = "Loss", .x = {.label = "step"}, .y = {.label = "nats a token"}};
  plot.series = {averaged(train), val};
  plot.references = references;
  write_file_atomic(run + "/loss.svg", std::string_view(plot.svg()));
}

}  // namespace weft::cli
