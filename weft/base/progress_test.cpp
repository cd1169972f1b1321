#include "weft/base/progress.h"

#include <gtest/gtest.h>
#include <sstream>

namespace weft {
namespace {

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// A progress bar on a made-up terminal with a clock that the test turns.
struct Screen {
  std::ostringstream out;
  double time = 0;

  ProgressOptions options(int columns, bool color = false) {
    return {.terminal = {.interactive = true, .color = color, .columns = columns},
            .out = &out,
            .clock = [this] { return time; }};
  }
  ProgressOptions quiet(double every) {
    ProgressOptions o = options(80);
    o.terminal.interactive = false;
    o.plain_every = every;
    return o;
  }
  // What stands in the line that was drawn last.
  std::string last_line() const {
    const std::string text = out.str();
    return text.substr(text.rfind('\r') + 1);
  }
};

TEST(Progress, ShowsStepFieldsAndTheTimeLeft) {
  Screen screen;
  Progress bar("train", 1000, screen.options(100));
  bar.update(0);
  screen.time = 10;
  bar.update(250, {{"loss", "0.31"}, {"", "13.1K tok/s"}});
  const std::string line = screen.last_line();
  EXPECT_EQ(line.find("train ━"), 0u) << line;
  EXPECT_NE(line.find("  25%  250/1000  loss 0.31  13.1K tok/s  30 s left\x1b[K"), line.npos)
      << line;
  EXPECT_EQ(count(line, "━") + count(line, "╸") + count(line, "─"), 25u) << line;
}

TEST(Progress, BarIsDrawnInHalfColumns) {
  Screen screen;
  Progress bar("x", 100, screen.options(80));
  const auto expect_bar = [&](int step, const std::string& expected) {
    screen.time += 1;
    bar.update(step);
    EXPECT_EQ(screen.last_line().find("x " + expected + " "), 0u) << screen.last_line();
  };
  const auto times = [](const std::string& text, int n) {
    std::string all;
    while (n-- > 0) all += text;
    return all;
  };
  expect_bar(0, times("─", 20));
  expect_bar(2, times("─", 20));
  expect_bar(3, "╸" + times("─", 19));
  expect_bar(50, times("━", 10) + times("─", 10));
  expect_bar(99, times("━", 19) + "╸");
  expect_bar(100, times("━", 20));
}

TEST(Progress, DrawsAtMostTenTimesASecond) {
  Screen screen;
  Progress bar("train", 1024, screen.options(80));
  double last = -1;
  for (int step = 0; step < 1024; ++step) {
    screen.time = step / 1024.0;
    const size_t before = screen.out.str().size();
    EXPECT_EQ(bar.due(), screen.time - last >= 0.1) << step;
    bar.update(step);
    if (screen.out.str().size() > before) last = screen.time;
  }
  EXPECT_EQ(count(screen.out.str(), "\r"), 10u);
}

TEST(Progress, NeverWiderThanTheTerminal) {
  for (int columns = 8; columns < 140; ++columns) {
    Screen screen;
    Progress bar("train", 1000, screen.options(columns, true));
    bar.update(0);
    screen.time = 7;
    bar.update(123,
               {{"loss", "1.2345"}, {"", "13.1K tok/s"}, {"MFU", "41%"}, {"memory", "12 MiB"}});
    EXPECT_LT(display_width(screen.last_line()), columns) << screen.last_line();
    EXPECT_NE(screen.last_line().find("12%"), std::string::npos);
  }
}

TEST(Progress, DropsFieldsFromTheLastOneOn) {
  Screen screen;
  Progress bar("train", 1000, screen.options(50));
  bar.update(500, {{"loss", "0.31"}, {"", "a value that is far too long to fit in the line"}});
  EXPECT_NE(screen.last_line().find("loss 0.31"), std::string::npos) << screen.last_line();
  EXPECT_EQ(screen.last_line().find("a value"), std::string::npos) << screen.last_line();
}

TEST(Progress, FinishEndsTheLineOnceWithTheTimeTaken) {
  Screen screen;
  {
    Progress bar("train", 10, screen.options(80));
    screen.time = 125;
    bar.update(10);
    bar.finish();
    bar.finish();
  }
  const std::string text = screen.out.str();
  EXPECT_EQ(count(text, "\n"), 1u);
  EXPECT_TRUE(text.ends_with("100%  10/10  in 2m 05s\x1b[K\n")) << text;
}

TEST(Progress, ABrokenOffBarStaysAndEndsItsLine) {
  Screen screen;
  {
    Progress bar("train", 10, screen.options(80));
    bar.update(3);
  }
  EXPECT_NE(screen.out.str().find("3/10"), std::string::npos);
  EXPECT_TRUE(screen.out.str().ends_with("\n"));
}

TEST(Progress, SpeedCountsFromTheFirstUpdateSoThatAResumeIsFair) {
  Screen screen;
  Progress bar("train", 1000, screen.options(80));
  screen.time = 50;  // compiling
  bar.update(900);
  screen.time = 60;
  bar.update(950);
  EXPECT_NE(screen.last_line().find("10 s left"), std::string::npos) << screen.last_line();
}

TEST(Progress, NotesStandAboveTheBar) {
  Screen screen;
  Progress bar("train", 10, screen.options(80));
  bar.update(3);
  bar.note("a sample");
  EXPECT_NE(screen.out.str().find("\r\x1b[Ka sample\n\rtrain "), std::string::npos);
}

TEST(Progress, SilentWhereNobodyLooks) {
  Screen screen;
  {
    Progress bar("train", 10, screen.quiet(0));
    for (int step = 0; step <= 10; ++step) {
      screen.time = step;
      EXPECT_FALSE(bar.due());
      bar.update(step, {{"loss", "1"}});
    }
    bar.note("a sample");
    bar.finish();
  }
  EXPECT_EQ(screen.out.str(), "");
}

TEST(Progress, PlainLinesWhenAsked) {
  Screen screen;
  {
    Progress bar("train", 100, screen.quiet(30));
    for (int step = 0; step <= 100; ++step) {
      screen.time = step;
      bar.update(step, {{"loss", "1.5"}});
    }
    bar.finish();
  }
  EXPECT_EQ(screen.out.str(),
            "train 30/100  loss 1.5  1m 10s left\n"
            "train 60/100  loss 1.5  40 s left\n"
            "train 90/100  loss 1.5  10 s left\n"
            "train 100/100  loss 1.5  in 1m 40s\n");
}

TEST(Progress, NoColourUnlessTheTerminalHasIt) {
  Screen plain, color;
  Progress a("train", 10, plain.options(80)), b("train", 10, color.options(80, true));
  a.update(5), b.update(5);
  EXPECT_EQ(count(plain.out.str(), "m"), 0u);
  EXPECT_GT(count(color.out.str(), "\x1b[36m"), 0u);
}

}  // namespace
}  // namespace weft
