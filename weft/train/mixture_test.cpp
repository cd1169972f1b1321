#include "weft/train/mixture.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/temp_directory.h"

namespace weft::train {
namespace {

using weft::testing::TempDirectory;

TEST(Mixture, WordsArePathsWithWeights) {
  const auto one = parse_mixture("some/data");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].path, "some/data");
  EXPECT_EQ(one[0].weight, 1);
  const auto three = parse_mixture("web:0.75,code,books:2");
  ASSERT_EQ(three.size(), 3u);
  EXPECT_EQ(three[0].path, "web");
  EXPECT_EQ(three[0].weight, 0.75);
  EXPECT_EQ(three[1].weight, 1);
  EXPECT_EQ(three[2].path, "books");
  EXPECT_ERROR(user, "\"web:much\" must be a data directory, or one with a weight",
               parse_mixture("web:much"));
  const TempDirectory dir;
  const std::string odd = dir / "a:1,b:2";
  std::filesystem::create_directory(odd);
  EXPECT_EQ(parse_mixture(odd)[0].path, odd);
}

TEST(Mixture, ManyAreAsOne) {
  const TempDirectory dir;
  write_dataset("abcabc", "abc", "byte", dir / "a");
  write_dataset("xyzwxyzw", "xyzw", "byte", dir / "b");
  const Mixture both({{dir / "a", 0.5}, {dir / "b", 2}});
  EXPECT_EQ(both.info().train.tokens, 14);
  EXPECT_EQ(both.info().val.documents, 2);
  EXPECT_EQ(both.train()[1].weight, 2);
  EXPECT_EQ(both.val()[1].tokens.size(), 4);
  EXPECT_EQ(both.parts()[1].sha256, Dataset(dir / "b").train_sha256());
  const Mixture again(both.parts());

  write_dataset("xyzwxyzx", "xyzw", "byte", dir / "b");
  EXPECT_ERROR(data, "has other training tokens than the run was started with",
               Mixture(both.parts()));
  write_dataset("abcabc", "abc", "char", dir / "c");
  EXPECT_ERROR(data, "has the tokens of another tokenizer", Mixture({{dir / "a"}, {dir / "c"}}));
  write_dataset("abcabc", "ä", "char", dir / "d");
  EXPECT_ERROR(data, "1 tokens to validate on, but at least 2", Mixture({{dir / "d"}}));
}

}  // namespace
}  // namespace weft::train
