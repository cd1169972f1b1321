#include "weft/engine/stop_filter.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace weft::engine {
namespace {

// What the header promises, said plainly: the first end of a stop string decides.
std::pair<std::string, bool> reference(const std::string& text,
                                       const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops)
      if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

// Of two letters, so that parts of stop strings come often.
std::string letters(const std::vector<bool>& bits) {
  std::string text;
  for (const bool bit : bits) text += bit ? 'a' : 'b';
  return text;
}

RC_GTEST_PROP(StopFilter, IsAFunctionOfTheText, ()) {
  std::vector<std::string> stops;
  for (const auto& bits :
       *rc::gen::container<std::vector<std::vector<bool>>>(rc::gen::nonEmpty<std::vector<bool>>()))
    stops.push_back(letters(bits));
  const std::string text = letters(*rc::gen::arbitrary<std::vector<bool>>());
  const auto [want, want_stop] = reference(text, stops);
  StopFilter filter(stops);
  std::string got;
  for (size_t at = 0; at < text.size();) {
    const size_t n = *rc::gen::inRange<size_t>(1, 6);
    got += filter.push(std::string_view(text).substr(at, n));
    RC_ASSERT(want.starts_with(got));
    at += n;
  }
  got += filter.finish();
  RC_ASSERT(got == want);
  RC_ASSERT(filter.stopped() == want_stop);
}

TEST(StopFilter, HoldsBackOnlyWhatMayBeAStop) {
  StopFilter filter({"\nUser:", "END"});
  EXPECT_EQ(filter.push("Hello"), "Hello");
  EXPECT_EQ(filter.push(" E"), " ");
  EXPECT_EQ(filter.push("x\nUs"), "Ex");
  EXPECT_EQ(filter.push("e"), "");
  EXPECT_EQ(filter.push("d. EN"), "\nUsed. ");
  EXPECT_EQ(filter.push("D and more"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.push("more") + filter.finish(), "");
}

TEST(StopFilter, WithoutStopsNothingIsHeld) {
  StopFilter filter({});
  EXPECT_EQ(filter.push("\nUser:"), "\nUser:");
  EXPECT_FALSE(filter.stopped());
}

}  // namespace
}  // namespace weft::engine
