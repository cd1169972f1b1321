#include "weft/io/event_file.h"

#include <cstring>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/temp_directory.h"

namespace weft {
namespace {

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(as_bytes(std::string(32, '\0'))), 0x8a9136aau);  // RFC 3720, B.4
  EXPECT_EQ(crc32c({}), 0u);
}

// The records of a file, their checksums checked as the format says.
std::vector<std::string> records(const std::string& path) {
  const std::string file = read_file(path, 1 << 20);
  std::vector<std::string> found;
  const auto word = [&](size_t at) {
    uint32_t value = 0;
    std::memcpy(&value, file.data() + at, 4);
    return value;
  };
  const auto checksum = [](std::string_view text) {
    const uint32_t crc = crc32c(as_bytes(text));
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  };
  for (size_t at = 0; at < file.size();) {
    const size_t bytes = word(at);
    EXPECT_EQ(word(at + 8), checksum(file.substr(at, 8)));
    found.push_back(file.substr(at + 12, bytes));
    EXPECT_EQ(word(at + 12 + bytes), checksum(found.back()));
    at += 16 + bytes;
  }
  return found;
}

// As TensorBoard's own reader shows it, byte by byte.
TEST(EventFile, HoldsVersionSessionAndScalars) {
  const testing::TempDirectory dir;
  {
    EventFile events(dir / "events", 300, 1.5);
    events.add(301, 2.0, {{"loss", 0.5f}, {"lr", 1.0f}});
  }
  using namespace std::string_literals;
  const std::string half = "\0\0\0\0\0\0\xf8\x3f"s, two = "\0\0\0\0\0\0\0\x40"s;
  const auto got = records(dir / "events");
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0], "\x09" + half + "\x10\0\x1a\x0d"s + "brain.Event:2");
  EXPECT_EQ(got[1], "\x09" + half + "\x10\xac\x02\x3a\x02\x08\x01");
  EXPECT_EQ(got[2], "\x09" + two + "\x10\xad\x02\x2a\x18" + "\x0a\x0b\x0a\x04loss\x15\0\0\0\x3f"s +
                        "\x0a\x09\x0a\x02lr\x15\0\0\x80\x3f"s);
}

TEST(EventFile, SaysWhatIsWrong) {
  EXPECT_ERROR(resource, "cannot open /nowhere/events", EventFile("/nowhere/events", 0, 0));
}

}  // namespace
}  // namespace weft
