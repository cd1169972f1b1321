#include "weft/base/progress.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <limits>

#include "weft/base/format.h"

namespace weft {
namespace {

constexpr double kRedrawEvery = 0.1;  // seconds
constexpr int kMinBar = 10, kMaxBar = 30;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string repeat(const char* text, int n) {
  std::string s;
  for (int i = 0; i < n; ++i) s += text;
  return s;
}

std::string paint(const Terminal& terminal, const char* code, const std::string& text) {
  if (!terminal.color || text.empty()) return text;
  return format("\x1b[{}m{}\x1b[0m", code, text);
}

// Drawn in half columns.
std::string bar(const Terminal& terminal, double share, int columns) {
  const int halves = int(std::floor(share * columns * 2 + 1e-9));
  const std::string done = repeat("━", halves / 2) + (halves % 2 != 0 ? "╸" : "");
  return paint(terminal, "36", done) +
         paint(terminal, "2", repeat("─", columns - (halves + 1) / 2));
}

std::string field_text(const Terminal& terminal, const ProgressField& field) {
  if (field.label.empty()) return field.value;
  return paint(terminal, "2", field.label) + " " + field.value;
}

}  // namespace

Progress::Progress(std::string title, int64_t total, ProgressOptions options)
    : title_(std::move(title)),
      total_(std::max<int64_t>(total, 1)),
      options_(std::move(options)),
      start_(now()),
      last_drawn_(-std::numeric_limits<double>::infinity()) {
  follow_window_ = options_.out == nullptr;
  if (options_.out == nullptr) options_.out = &std::cerr;
  if (!options_.terminal.interactive) last_drawn_ = start_;
}

Progress::~Progress() {
  if (!finished_ && drawn_) *options_.out << '\n' << std::flush;
}

double Progress::now() const {
  return options_.clock ? options_.clock() : steady_seconds();
}

bool Progress::due() const {
  const double every = options_.terminal.interactive ? kRedrawEvery : options_.plain_every;
  return every > 0 && !finished_ && now() - last_drawn_ >= every;
}

void Progress::update(int64_t step, const std::vector<ProgressField>& fields) {
  step_ = std::clamp<int64_t>(step, 0, total_);
  if (first_step_ < 0) first_step_ = step_, first_time_ = now();
  if (!fields.empty()) fields_ = fields;
  if (!due()) return;
  last_drawn_ = now();
  if (options_.terminal.interactive) {
    draw(false);
  } else {
    write_plain(false);
  }
}

void Progress::note(const std::string& text) {
  if (!options_.terminal.interactive) return;
  *options_.out << (drawn_ ? "\r\x1b[K" : "") << text << '\n';
  if (drawn_ && !finished_) draw(false);
  options_.out->flush();
}

void Progress::finish() {
  if (finished_) return;
  if (options_.terminal.interactive) {
    draw(true);
    *options_.out << '\n' << std::flush;
  } else if (options_.plain_every > 0) {
    write_plain(true);
  }
  finished_ = true;
}

// "58 s left", or "in 2m 05s" at the end.
std::string Progress::tail(bool finished) const {
  if (finished) return "in " + format_duration(now() - start_);
  const double spent = now() - first_time_;
  const double done = double(step_ - first_step_);
  if (first_step_ < 0 || done <= 0 || spent <= 0) return "";
  return format_duration(std::round(spent / done * double(total_ - step_))) + " left";
}

// The bar's width depends on the terminal's alone, so that it stands still while the fields change.
std::string Progress::line(bool finished) const {
  const Terminal& terminal = options_.terminal;
  const double share = double(step_) / double(total_);
  std::string percent = format("{:3.0f}%", std::floor(share * 100));
  const int columns = std::clamp(terminal.columns / 4, kMinBar, kMaxBar);
  std::string text =
      paint(terminal, "1", title_) + " " + bar(terminal, share, columns) + " " + percent;
  if (display_width(text) >= terminal.columns) return percent;

  const std::string end = tail(finished);
  const int end_width = end.empty() ? 0 : display_width(end) + 2;
  std::vector<ProgressField> fields{{"", format("{}/{}", step_, total_)}};
  fields.insert(fields.end(), fields_.begin(), fields_.end());
  for (const ProgressField& field : fields) {
    const std::string more = "  " + field_text(terminal, field);
    if (display_width(text) + display_width(more) + end_width >= terminal.columns) break;
    text += more;
  }
  if (display_width(text) + end_width < terminal.columns && !end.empty())
    text += "  " + paint(terminal, "2", end);
  return text;
}

void Progress::draw(bool finished) {
  if (follow_window_) options_.terminal.columns = stderr_terminal().columns;
  *options_.out << '\r' << line(finished) << "\x1b[K" << std::flush;
  drawn_ = true;
}

void Progress::write_plain(bool finished) {
  std::string text = format("{} {}/{}", title_, step_, total_);
  for (const ProgressField& field : fields_)
    text += (field.label.empty() ? "  " : "  " + field.label + " ") + field.value;
  const std::string end = tail(finished);
  *options_.out << text << (end.empty() ? "" : "  ") << end << '\n' << std::flush;
}

}  // namespace weft
