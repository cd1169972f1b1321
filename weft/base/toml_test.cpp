#include "weft/base/toml.h"

#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/mutations.h"
#include "tests/temp_directory.h"

namespace weft {
namespace {

using Values = std::map<std::string, std::string>;

const std::string valid =
    "# a run\nlayers = 2\nmin_lr = 1e-4\nqk-norm = true\nout = \"--a b\"\ndtype = 'f32'\n";

TEST(Toml, ValuesByFlag) {
  EXPECT_EQ(parse_toml(valid, "c.toml"), (Values{{"dtype", "f32"},
                                                 {"layers", "2"},
                                                 {"min-lr", "0.0001"},
                                                 {"out", "--a b"},
                                                 {"qk-norm", "true"}}));
  EXPECT_EQ(parse_toml("", "c.toml"), Values{});
  EXPECT_EQ(parse_toml("out = \"\\\"\xc3\xa9\" # \xc3\xa9\nx = ''", "c.toml"),
            (Values{{"out", "\"\xc3\xa9"}, {"x", ""}}));
  const weft::testing::TempDirectory directory;
  write_file_atomic(directory / "c.toml", "steps = 7");
  EXPECT_EQ(read_toml(directory / "c.toml"), (Values{{"steps", "7"}}));
}

TEST(Toml, RefusesWhatNoFlagCanBe) {
  const auto refused = [](const std::string& text, const char* sentence) {
    EXPECT_ERROR(data, sentence, parse_toml(text, "c.toml"));
  };
  refused("a = 1\nlr = [", "c.toml: line 2: ");
  refused("lr = [1]", "c.toml: lr must be a string, a number or a boolean");
  refused("[train]\nlr = 1", "train must be a string");
  refused("date = 2026-01-01", "date must be a string");
  refused("\"\" = 1", "a key must be the name of a flag such as lr or min_lr, got \"\"");
  refused("\"a=b\\n\" = 1", "got \"a=b\\x0a\"");
  refused("-x = 1", "got \"-x\"");
  refused("a = 1\nlr = \xcf\xb4", "c.toml: line 2: letters that are not ASCII");
  refused("a = 1:\"-\xef\xbb\x9fl= 2", "c.toml: line 1: letters that are not ASCII");
  refused("a = \"\xc3\xa9\" \xc3\xa9", "c.toml: line 1: letters that are not ASCII");
  refused("a = \"\"\"x\"\"\"", "c.toml: line 1: a string must be in one pair of quotes");
  refused("min-lr = 1\nmin_lr = 2", "min-lr is given twice");
}

TEST(Toml, Limits) {
  EXPECT_ERROR(data, "has 12 bytes, more than the 11",
               parse_toml("layers = 123", "c.toml", {.bytes = 11}));
  EXPECT_ERROR(data, "has 2 keys, more than the 1",
               parse_toml("a = 1\nb = 2", "c.toml", {.keys = 1}));
  std::string deep = "a";  // as deep as a file can be
  while (deep.size() < TomlLimits().bytes - 6) deep += ".a";
  EXPECT_ERROR(data, "a must be a string", parse_toml(deep + " = 1", "c.toml"));
  EXPECT_ERROR(data, "c.toml: line 1", parse_toml("a = " + std::string(10'000, '['), "c.toml"));
}

TEST(Toml, HostileBytes) {
  int accepted = 0;
  const auto read = [&](Bytes bytes, const std::string& what) {
    SCOPED_TRACE(what);
    accepted += weft::testing::accepts([&] {
      for (const auto& [name, value] : parse_toml(weft::testing::text_of(bytes), "c.toml"))
        EXPECT_FALSE(name.empty() || name[0] == '-') << value;
    });
  };
  weft::testing::for_each_truncation(valid, read);
  weft::testing::for_each_bit_flip(valid, valid.size(), read);
  EXPECT_GT(accepted, 50);
}

}  // namespace
}  // namespace weft
