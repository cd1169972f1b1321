#include "weft/io/gguf.h"

#include <cstring>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/mutations.h"

namespace weft {
namespace {

template <class T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}
std::string text(const std::string& value) {
  return raw(uint64_t(value.size())) + value;
}
std::string entry(const std::string& key, uint32_t type, const std::string& value) {
  return text(key) + raw(type) + value;
}
std::string file(const std::vector<std::string>& entries, uint32_t version = 3) {
  std::string bytes = "GGUF" + raw(version) + raw(uint64_t(0)) + raw(uint64_t(entries.size()));
  for (const std::string& e : entries) bytes += e;
  return bytes;
}
std::string array(uint32_t type, uint64_t count, const std::string& items) {
  return raw(type) + raw(count) + items;
}
GgufMetadata parse(const std::string& bytes) {
  return parse_gguf_metadata(testing::ExactBytes(bytes).bytes(), "m.gguf");
}

TEST(Gguf, EveryType) {
  const GgufMetadata m = parse(file(
      {entry("u8", 0, raw(uint8_t(200))), entry("i8", 1, raw(int8_t(-3))),
       entry("u16", 2, raw(uint16_t(60000))), entry("i16", 3, raw(int16_t(-300))),
       entry("u32", 4, raw(uint32_t(4000000000))), entry("i32", 5, raw(int32_t(-70000))),
       entry("f32", 6, raw(1.5f)), entry("bool", 7, raw(uint8_t(1))), entry("text", 8, text("hi")),
       entry("u64", 10, raw(uint64_t(1) << 40)), entry("i64", 11, raw(-(int64_t(1) << 40))),
       entry("f64", 12, raw(2.5)), entry("names", 9, array(8, 2, text("a") + text(""))),
       entry("ints", 9, array(5, 2, raw(int32_t(-1)) + raw(int32_t(7)))),
       entry("reals", 9, array(6, 1, raw(0.5f))),
       entry("flags", 9, array(7, 1, raw(uint8_t(1))))}));
  EXPECT_EQ(m.integer("u8", 0, 255), 200);
  EXPECT_EQ(m.integer("i8", -10, 0), -3);
  EXPECT_EQ(m.integer("u16", 0, 1 << 20), 60000);
  EXPECT_EQ(m.integer("i16", -1000, 0), -300);
  EXPECT_EQ(m.integer("u32", 0, INT64_MAX), 4000000000);
  EXPECT_EQ(m.integer("i32", INT64_MIN, 0), -70000);
  EXPECT_EQ(std::get<double>(m.values().at("f32")), 1.5);
  EXPECT_TRUE(m.boolean_or("bool", false));
  EXPECT_TRUE(m.boolean_or("missing", true));
  EXPECT_EQ(m.string("text"), "hi");
  EXPECT_EQ(m.integer("u64", 0, INT64_MAX), int64_t(1) << 40);
  EXPECT_EQ(m.integer("i64", INT64_MIN, 0), -(int64_t(1) << 40));
  EXPECT_EQ(std::get<double>(m.values().at("f64")), 2.5);
  EXPECT_EQ(m.strings("names"), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(m.integers("ints"), (std::vector<int64_t>{-1, 7}));
  EXPECT_EQ(m.integers("flags"), std::vector<int64_t>{1});
  EXPECT_EQ(m.reals("reals"), std::vector<double>{0.5});
}

TEST(Gguf, GettersSayWhatIsWrong) {
  const GgufMetadata m = parse(file({entry("n", 4, raw(uint32_t(9)))}));
  EXPECT_ERROR(data, "m.gguf: the key \"k\" is missing", m.string("k"));
  EXPECT_ERROR(data, "the value of \"n\" must be a string", m.string("n"));
  EXPECT_ERROR(data, "must be an array of strings", m.strings("n"));
  EXPECT_ERROR(data, "must be an array of integers", m.integers("n"));
  EXPECT_ERROR(data, "must be an array of numbers with a point", m.reals("n"));
  EXPECT_ERROR(data, "must be true or false", m.boolean_or("n", true));
  EXPECT_ERROR(data, "must be from 0 to 8, got 9", m.integer("n", 0, 8));
}

TEST(Gguf, Hostile) {
  const auto refused = [](const std::string& bytes, const std::string& sentence) {
    EXPECT_ERROR(data, sentence, parse(bytes));
  };
  const auto value = [](uint32_t type, const std::string& bytes) {
    return file({entry("k", type, bytes)});
  };
  refused("", "does not begin with GGUF");
  refused("GGML" + std::string(100, '\0'), "does not begin with GGUF");
  refused(file({}, 1), "version 1; Weft reads 2 and 3");
  refused(file({}, 0x03000000), "little-endian");
  refused("GGUF" + raw(3u) + raw(uint64_t(0)) + raw(uint64_t(65537)), "65537 keys");
  refused("GGUF" + raw(3u) + raw(uint64_t(0)) + raw(UINT64_MAX), "keys, at most 65536");
  refused(file({text("k") + raw(13u)}), "13 is no type");
  refused(file({entry("k", 7, raw(uint8_t(1))), entry("k", 7, raw(uint8_t(1)))}), "appears twice");
  refused(file({raw(uint64_t(65537))}), "at most 65536 are allowed");
  for (const uint64_t size :
       {uint64_t(1) << 27, uint64_t(1) << 31, uint64_t(1) << 32, uint64_t(1) << 63, UINT64_MAX}) {
    refused(value(8, raw(size)), "bytes, at most 67108864");
    for (const uint32_t type : {0u, 4u, 7u, 8u, 12u})
      refused(value(9, array(type, size, "abcdefgh")), "items; 8 bytes are left");
  }
  refused(value(8, raw(uint64_t(1000)) + "short"), "1000 bytes are needed, 5 are left");
  refused(value(9, array(8, 1, raw(uint64_t(9)) + "short")), "9 bytes are needed, 5 are left");
  refused(value(9, array(9, 1, std::string(64, '\0'))), "an array of arrays");
  refused(value(7, raw(uint8_t(2))), "a boolean is 2");
  refused(value(10, raw(UINT64_MAX)), "does not fit 63 bits");
}

std::string small_file() {
  return file({entry("a", 4, raw(uint32_t(7))), entry("b", 9, array(8, 2, text("x") + text("yz"))),
               entry("c", 7, raw(uint8_t(0)))});
}

TEST(Gguf, CutAnywhereIsRefused) {
  testing::for_each_truncation(small_file(), [](Bytes bytes, const std::string& how) {
    EXPECT_FALSE(testing::accepts([&] { parse_gguf_metadata(bytes, "m.gguf"); })) << how;
  });
}

TEST(Gguf, AnyFlippedBitIsRefusedOrRead) {
  const std::string whole = small_file();
  testing::for_each_bit_flip(whole, whole.size(), [](Bytes bytes, const std::string&) {
    testing::accepts([&] { parse_gguf_metadata(bytes, "m.gguf"); });
  });
}

}  // namespace
}  // namespace weft
