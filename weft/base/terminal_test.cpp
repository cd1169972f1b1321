#include "weft/base/terminal.h"

#include <gtest/gtest.h>
#include <limits>

namespace weft {
namespace {

TEST(Terminal, CountsAreShort) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1K");
  EXPECT_EQ(format_count(1234567), "1.2M");
  EXPECT_EQ(format_count(12.34e6), "12.3M");
  EXPECT_EQ(format_count(123456), "123K");
  EXPECT_EQ(format_count(4e9), "4B");
  EXPECT_EQ(format_count(-2500), "-2.5K");
  EXPECT_EQ(format_count(std::numeric_limits<double>::quiet_NaN()), "?");
}

TEST(Terminal, RoundingMovesToTheNextUnit) {
  EXPECT_EQ(format_count(999.4), "999");
  EXPECT_EQ(format_count(999.6), "1K");
  EXPECT_EQ(format_count(999499), "999K");
  EXPECT_EQ(format_count(999501), "1M");
  EXPECT_EQ(format_bytes(1023.9), "1 KiB");
  EXPECT_EQ(format_bytes(1048575), "1 MiB");
}

TEST(Terminal, BytesAreBinary) {
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(20.0 * 1024 * 1024), "20 MiB");
  EXPECT_EQ(format_bytes(3.25 * 1024 * 1024 * 1024 * 1024), "3.2 TiB");
}

TEST(Terminal, DurationsUseTwoUnits) {
  EXPECT_EQ(format_duration(0), "0 s");
  EXPECT_EQ(format_duration(0.012), "12 ms");
  EXPECT_EQ(format_duration(3.42), "3.4 s");
  EXPECT_EQ(format_duration(59.97), "1m 00s");
  EXPECT_EQ(format_duration(125), "2m 05s");
  EXPECT_EQ(format_duration(3599.6), "1h 00m");
  EXPECT_EQ(format_duration(3723), "1h 02m");
  EXPECT_EQ(format_duration(76 * 3600), "3d 4h");
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "?");
}

TEST(Terminal, WidthCountsCharactersAndNoEscapeCodes) {
  EXPECT_EQ(display_width("loss"), 4);
  EXPECT_EQ(display_width("━━╸"), 3);
  EXPECT_EQ(display_width("\x1b[36m━━\x1b[0m 5%\x1b[K"), 5);
}

}  // namespace
}  // namespace weft
