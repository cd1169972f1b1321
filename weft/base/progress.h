// A bar for long work: one line on stderr, redrawn in place. Where nobody looks (stderr is not a
// terminal) it is silent.
//
//   train ━━━━━━━━━━━━╸─────────── 52%  520/1000  loss 0.31  13.1K tok/s  58 s left
#pragma once
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "weft/base/terminal.h"

namespace weft {

struct ProgressField {
  std::string label;  // may be empty
  std::string value;
};

struct ProgressOptions {
  Terminal terminal = stderr_terminal();
  std::ostream* out = nullptr;      // not owned; null: std::cerr
  std::function<double()> clock{};  // seconds, never going back; empty: the steady clock
  double plain_every = 0;  // seconds between plain lines where it is not a terminal; 0: none
};

// Used from one thread.
class Progress {
 public:
  Progress(std::string title, int64_t total, ProgressOptions options = {});
  // Leaves the bar where it stands, so that an error shows how far the work came.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // True if update() would draw now: 0.1 s after the last time. Saves formatting the fields at
  // every step.
  bool due() const;
  // `step` of `total` are done. Draws if due. Fields that do not fit are left out from the last one
  // on.
  void update(int64_t step, const std::vector<ProgressField>& fields = {});
  // Writes a line of text above the bar; where nobody looks, nothing.
  void note(const std::string& line);
  // Draws the last state, with the time it all took, and ends the line.
  void finish();

 private:
  double now() const;
  std::string tail(bool finished) const;
  std::string line(bool finished) const;
  void draw(bool finished);
  void write_plain(bool finished);

  std::string title_;
  int64_t total_, step_ = 0;
  ProgressOptions options_;
  std::vector<ProgressField> fields_;
  double start_;
  double last_drawn_;        // -inf: never
  int64_t first_step_ = -1;  // of the first update, for the speed: work may resume in the middle
  double first_time_ = 0;
  bool follow_window_, drawn_ = false, finished_ = false;
};

}  // namespace weft
