#include "weft/cli/config_file.h"

#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/mutations.h"
#include "tests/temp_directory.h"

namespace weft::cli {
namespace {

using Words = std::vector<std::string>;

const std::string valid =
    "# a run\nlayers = 2\nmin_lr = 1e-4\nqk-norm = true\nout = \"--a b\"\ndtype = 'f32'\n";

TEST(ConfigFile, OneWordForEachKey) {
  EXPECT_EQ(
      parse_config_words(valid, "c.toml"),
      (Words{"--dtype=f32", "--layers=2", "--min-lr=0.0001", "--out=--a b", "--qk-norm=true"}));
  EXPECT_EQ(parse_config_words("", "c.toml"), Words{});
  const weft::testing::TempDirectory directory;
  write_file_atomic(directory / "c.toml", "steps = 7");
  EXPECT_EQ(read_config_words(directory / "c.toml"), Words{"--steps=7"});
}

TEST(ConfigFile, RefusesWhatNoFlagCanBe) {
  const auto refused = [](const std::string& text, const char* sentence) {
    EXPECT_ERROR(data, sentence, parse_config_words(text, "c.toml"));
  };
  refused("a = 1\nlr = [", "c.toml: line 2: ");
  refused("lr = [1]", "c.toml: lr must be a string, a number or a boolean");
  refused("[train]\nlr = 1", "train must be a string");
  refused("date = 2026-01-01", "date must be a string");
  refused("\"\" = 1", "a key must be the name of a flag such as lr or min_lr, got \"\"");
  refused("\"a=b\\n\" = 1", "got \"a=b\\x0a\"");
  refused("-x = 1", "got \"-x\"");
  refused("config = \"other.toml\"", "got \"config\"");
  refused("min-lr = 1\nmin_lr = 2", "min-lr is given twice");
}

TEST(ConfigFile, Limits) {
  EXPECT_ERROR(data, "has 12 bytes, more than the 11",
               parse_config_words("layers = 123", "c.toml", {.bytes = 11}));
  EXPECT_ERROR(data, "has 2 keys, more than the 1",
               parse_config_words("a = 1\nb = 2", "c.toml", {.keys = 1}));
  std::string deep = "a";  // as deep as a file can be
  while (deep.size() < ConfigFileLimits().bytes - 6) deep += ".a";
  EXPECT_ERROR(data, "a must be a string", parse_config_words(deep + " = 1", "c.toml"));
  EXPECT_ERROR(data, "c.toml: line 1",
               parse_config_words("a = " + std::string(10'000, '['), "c.toml"));
}

TEST(ConfigFile, HostileBytes) {
  int accepted = 0;
  const auto read = [&](Bytes bytes, const std::string& what) {
    SCOPED_TRACE(what);
    accepted += weft::testing::accepts([&] {
      for (const std::string& word : parse_config_words(weft::testing::text_of(bytes), "c.toml"))
        EXPECT_TRUE(word.starts_with("--")) << word;
    });
  };
  weft::testing::for_each_truncation(valid, read);
  weft::testing::for_each_bit_flip(valid, valid.size(), read);
  EXPECT_GT(accepted, 50);
}

}  // namespace
}  // namespace weft::cli
