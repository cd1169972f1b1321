#include "weft/base/json.h"

#include <cmath>
#include <gtest/gtest.h>
#include <pthread.h>
#include <rapidcheck/gtest.h>

#include "tests/expect_error.h"
#include "tests/temp_directory.h"
#include "weft/base/file.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

std::string nested(int depth) {
  return std::string(size_t(depth), '[') + std::string(size_t(depth), ']');
}

TEST(Json, KeepsValuesAndOrder) {
  const std::string text = R"({"z":1,"a":[true,null,-2,1.5,"h\u00e9\ud83d\ude00"],"m":{}})";
  const Json value = parse_json(text, "x.json");
  EXPECT_EQ(dump_json(value),
            "{\"z\":1,\"a\":[true,null,-2,1.5,\"h\xC3\xA9\xF0\x9F\x98\x80\"],\"m\":{}}");
  EXPECT_EQ(value["a"][4], "h\xC3\xA9\xF0\x9F\x98\x80");
}

std::string any_text() {
  std::string text;
  for (int n = *rc::gen::inRange(0, 12); n > 0; --n) {
    const auto c =
        char32_t(*rc::gen::element(0, 1, 31, 34, 92, 127, 0x80, 0xD7FF, 0xE000, 0xFFFF)) +
        char32_t(*rc::gen::inRange(0, 2) * *rc::gen::inRange(0, 0x800));
    append_utf8(text, c >= 0xD800 && c < 0xE000 ? max_code_point : c);
  }
  return text;
}

Json any_json(int depth) {
  Json value;
  switch (*rc::gen::inRange(depth > 0 ? 0 : 2, 8)) {
    case 0:
      value = Json::array();
      for (int n = *rc::gen::inRange(0, 5); n > 0; --n) value.push_back(any_json(depth - 1));
      return value;
    case 1:
      value = Json::object();
      for (int n = *rc::gen::inRange(0, 5); n > 0; --n) value[any_text()] = any_json(depth - 1);
      return value;
    case 2:
      return nullptr;
    case 3:
      return *rc::gen::arbitrary<bool>();
    case 4:
      return *rc::gen::arbitrary<int64_t>();
    case 5:
      return std::ldexp(double(*rc::gen::arbitrary<int64_t>()), *rc::gen::inRange(-1000, 900));
    case 6:
      return *rc::gen::element(0.1, -0.0, 5e-324, 1.7976931348623157e308, 1e21, 9007199254740993.0);
    default:
      return any_text();
  }
}

RC_GTEST_PROP(Json, WhatIsWrittenReadsTheSame, ()) {
  const Json value = any_json(4);
  const int indent = *rc::gen::element(-1, 2);
  const Json read = parse_json(dump_json(value, indent), "x.json");
  RC_ASSERT(read == value);
  RC_ASSERT(dump_json(read, indent) == dump_json(value, indent));
}

TEST(Json, Integers) {
  EXPECT_EQ(parse_json("9223372036854775807", "x").get<int64_t>(), INT64_MAX);
  EXPECT_EQ(parse_json("-9223372036854775808", "x").get<int64_t>(), INT64_MIN);
  EXPECT_EQ(parse_json("18446744073709551615", "x").get<uint64_t>(), UINT64_MAX);
  EXPECT_ERROR(data, "the integer \"18446744073709551616\" does not fit 64 bits",
               parse_json("[18446744073709551616]", "x"));
  EXPECT_ERROR(data, "does not fit", parse_json("-9223372036854775809", "x"));
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const std::string text : {"",
                                 " ",
                                 "{",
                                 "}",
                                 "[1,]",
                                 "{\"a\":1,}",
                                 "{a:1}",
                                 "{'a':1}",
                                 "NaN",
                                 "[Infinity]",
                                 "-Infinity",
                                 "1e999",
                                 "-1e999",
                                 "01",
                                 "+1",
                                 ".5",
                                 "1.",
                                 "0x1",
                                 "tru",
                                 "\"\x01\"",
                                 "\"\xFF\"",
                                 "\"\xED\xA0\x80\"",
                                 "\"\\ud800\"",
                                 "\"\\x41\"",
                                 "1 2",
                                 "[1]]",
                                 "{\"a\":1 \"b\":2}",
                                 "// c\n1",
                                 "[1\x00]",
                                 "\"abc",
                                 "\xFE\xFF"})
    EXPECT_ERROR(data, "x.json is not valid JSON at byte", parse_json(text, "x.json"));
}

TEST(Json, NamesThePlace) {
  EXPECT_ERROR(data, "c.json is not valid JSON at byte 9 (line 2)",
               parse_json("{\"a\": 1\n,}", "c.json"));
}

TEST(Json, RefusesRepeatedKeysEverywhere) {
  EXPECT_ERROR(data, "x: the key \"a\" appears twice", parse_json(R"({"a":1,"b":2,"a":3})", "x"));
  EXPECT_ERROR(data, "the key \"\" appears twice", parse_json(R"([{"x":{"":1,"":1}}])", "x"));
  EXPECT_ERROR(data, "appears twice", parse_json(R"({"a":1,"\u0061":1})", "x"));
  EXPECT_EQ(parse_json(R"({"a":{"a":1}})", "x")["a"]["a"], 1);
}

TEST(Json, ManyKeysTakeNoQuadraticTime) {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += (i ? ",\"" : "\"") + std::to_string(i) + "\":0";
  EXPECT_EQ(parse_json(text + "}", "x").size(), 200000u);  // hours if each key were searched for
}

TEST(Json, LimitsAreExact) {
  EXPECT_NO_THROW(parse_json(nested(64), "x"));
  EXPECT_ERROR(data, "nested deeper than 64 levels", parse_json(nested(65), "x"));
  EXPECT_NO_THROW(parse_json("[1]", "x", {.max_bytes = 3}));
  EXPECT_ERROR(data, "4 bytes of JSON, more than the 3", parse_json("[1] ", "x", {.max_bytes = 3}));
  EXPECT_NO_THROW(parse_json("[1,2]", "x", {.max_values = 3}));
  EXPECT_ERROR(data, "more than 3 values", parse_json("[1,2,3]", "x", {.max_values = 3}));
}

// A million open brackets must not cost stack: on a thread with 256 KiB of it.
TEST(Json, DepthCostsNoStack) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 << 10);
  pthread_t thread;
  const auto body = [](void*) -> void* {
    EXPECT_ERROR(data, "nested deeper", parse_json(nested(1000000), "x"));
    EXPECT_ERROR(data, "not valid JSON", parse_json(std::string(1000000, ']'), "x"));
    EXPECT_NO_THROW(dump_json(parse_json(nested(64), "x")));
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, body, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(Json, DumpNeverThrows) {
  Json value;
  value["text"] =
      "a\xFF"
      "b";
  value["nan"] = std::nan("");
  EXPECT_EQ(dump_json(value),
            "{\"text\":\"a\xEF\xBF\xBD"
            "b\",\"nan\":null}");
}

TEST(Json, ReadsAFile) {
  const testing::TempDirectory dir;
  write_file_atomic(dir / "c.json", "[1]");
  EXPECT_EQ(read_json(dir / "c.json")[0], 1);
  EXPECT_ERROR(data, "more than the 2 allowed", read_json(dir / "c.json", {.max_bytes = 2}));
}

class JsonReaderTest : public ::testing::Test {
 protected:
  const Json value =
      parse_json(R"({"layers": "x", "width": 64, "rate": 0.5, "on": true, "name": "gpt",
      "model": {"heads": 0, "list": [{"a": 1}, 2]}, "big": 18446744073709551615, "half": 1.5})",
                 "x");
  const JsonReader reader{value, "config.json"};
};

TEST_F(JsonReaderTest, Reads) {
  EXPECT_EQ(reader.integer("width", 1, 64), 64);
  EXPECT_EQ(reader.integer_or("absent", 7, 1, 9), 7);
  EXPECT_EQ(reader.number("rate", 0, 1), 0.5);
  EXPECT_EQ(reader.number("width", 0, 100), 64.0);
  EXPECT_EQ(reader.number_or("absent", 0.25, 0, 1), 0.25);
  EXPECT_TRUE(reader.boolean("on"));
  EXPECT_FALSE(reader.boolean_or("absent", false));
  EXPECT_EQ(reader.string("name"), "gpt");
  EXPECT_EQ(reader.string_or("absent", "d"), "d");
  EXPECT_EQ(reader.object("model").item("list", 0).integer("a", 0, 1), 1);
  EXPECT_TRUE(reader.has("rate"));
  EXPECT_FALSE(reader.has("absent"));
}

TEST_F(JsonReaderTest, ErrorsAreSentences) {
  EXPECT_ERROR(data, "config.json: \"layers\" must be an integer from 1 to 1024, got \"x\"",
               reader.integer("layers", 1, 1024));
  EXPECT_ERROR(data, "config.json: \"depth\" is missing; it must be an integer from 1 to 8",
               reader.integer("depth", 1, 8));
  EXPECT_ERROR(data, "\"model.heads\" must be an integer from 1 to 8, got 0",
               reader.object("model").integer("heads", 1, 8));
  EXPECT_ERROR(data, "\"model.list[1]\" must be an object, got 2",
               reader.object("model").item("list", 1));
  EXPECT_ERROR(data, "got 18446744073709551615", reader.integer("big", 0, INT64_MAX));
  EXPECT_ERROR(data, "got 1.5", reader.integer("half", 0, 9));
  EXPECT_ERROR(data, "\"rate\" must be a number from 1 to 2, got 0.5", reader.number("rate", 1, 2));
  EXPECT_ERROR(data, "\"name\" must be true or false, got \"gpt\"", reader.boolean("name"));
  EXPECT_ERROR(data, "must be a string of at most 2 bytes", reader.string("name", 2));
  EXPECT_ERROR(data, "must be an array of at most 1 items, got an array of 2",
               reader.object("model").array("list", 1));
  EXPECT_ERROR(data, "must be an array", reader.array("model", 1));
  EXPECT_ERROR(data, "unknown key \"layers\"; there are width, rate",
               reader.allow_only({"width", "rate"}));
  EXPECT_ERROR(data, "list.json must be a JSON object, got an array of 0",
               JsonReader(Json::array(), "list.json"));
}

}  // namespace
}  // namespace weft
