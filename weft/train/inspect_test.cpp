#include "weft/train/inspect.h"

#include <gtest/gtest.h>

namespace weft::train {
namespace {

struct Text {
  std::vector<uint16_t> ids;
  std::vector<uint64_t> ends;
  explicit Text(const std::vector<std::string>& documents) {
    for (const std::string& document : documents) {
      ids.insert(ids.end(), document.begin(), document.end());
      ends.push_back(ids.size());
    }
  }
  Documents documents() const { return {{std::as_bytes(std::span(ids)), 2, 256, {}}, ends}; }
};

TEST(Inspect, LengthsAndDuplicates) {
  const Text text({"a", "bb", "abc", "bb", "1234567890", "bb", "xyz", "x", "y", "zz"});
  const LengthStatistics s = length_statistics(text.documents());
  EXPECT_EQ(s.shortest, 1);
  EXPECT_EQ(s.median, 2);
  EXPECT_EQ(s.ninetieth, 10);
  EXPECT_EQ(s.longest, 10);
  EXPECT_DOUBLE_EQ(s.mean, 2.7);
  EXPECT_EQ(s.counts, (std::vector<int64_t>{3, 6, 0, 1}));
  EXPECT_EQ(s.duplicates, 2);
  EXPECT_EQ(s.duplicate_tokens, 4);
}

TEST(Inspect, DocumentsOfBothSplits) {
  const Text train({"a", "bb", "abc"}), val({"bb", "b", "bb", "abcd"});
  EXPECT_EQ(shared_documents(val.documents(), train.documents()), 2);
  EXPECT_EQ(shared_documents(train.documents(), val.documents()), 1);
}

}  // namespace
}  // namespace weft::train
