#include "weft/train/batch.h"

#include <gtest/gtest.h>
#include <numeric>
#include <set>

namespace weft::train {
namespace {

// Token i is i.
struct Counting {
  std::vector<uint16_t> ids;
  TokenView view;
  explicit Counting(int n) : ids(size_t(n)) {
    std::iota(ids.begin(), ids.end(), uint16_t(0));
    view = {std::as_bytes(std::span(ids)), 2, 65536, {}};
  }
};

TEST(Batch, OffsetsAreUniformOverAllPlacesThatFit) {
  std::vector<int> count(10);
  for (int64_t i = 0; i < 10000; ++i) ++count[size_t(sample_offset(7, i, 14, 4))];
  for (const int n : count) EXPECT_NEAR(n, 1000, 150);
  EXPECT_EQ(sample_offset(7, 3, 5, 4), 0);
  int same = 0;
  for (int64_t i = 0; i < 1000; ++i)
    same += sample_offset(1, i, 100000, 4) == sample_offset(2, i, 100000, 4);
  EXPECT_LT(same, 3);
  // Frozen: runs are resumed by later versions.
  EXPECT_EQ(sample_offset(1, 0, 1'000'000, 64), 152725);
  EXPECT_EQ(sample_offset(1, 24'000, 1'000'000, 64), 83110);
}

TEST(Batch, SamplesDoNotDependOnHowTheyAreBatched) {
  const Counting text(1000);
  Batch six(default_device(), 6, 8, 1), two(default_device(), 2, 8, 1);
  six.fill_samples(text.view, 5, 12);
  const auto tokens = six.tensors().tokens.to_vector<int32_t>(),
             targets = six.tensors().targets.to_vector<int32_t>();
  for (size_t i = 0; i < 48; ++i) {
    EXPECT_EQ(tokens[i], sample_offset(5, 12 + int64_t(i) / 8, 1000, 8) + int64_t(i) % 8);
    EXPECT_EQ(targets[i], tokens[i] + 1);
  }
  two.fill_samples(text.view, 5, 14);
  EXPECT_EQ(two.tensors().tokens.to_vector<int32_t>(),
            std::vector<int32_t>(tokens.begin() + 16, tokens.begin() + 32));
}

TEST(Batch, WindowsCoverEveryTokenButTheFirstOnce) {
  for (const int n : {2, 4, 5, 6, 9, 24, 25, 26}) {
    const Counting text(n);
    Batch batch(default_device(), 3, 4, 1);
    std::vector<int32_t> seen;
    for (int64_t begin = 0; begin < n - 1;) {
      begin = batch.fill_windows(text.view, begin);
      for (const int32_t target : batch.tensors().targets.to_vector<int32_t>())
        if (target >= 0) seen.push_back(target);
    }
    std::vector<int32_t> all(size_t(n - 1));
    std::iota(all.begin(), all.end(), 1);
    EXPECT_EQ(seen, all);
  }
}

// Documents of the given numbers of tokens behind their start, which is 0; the last is followed by
// the start of a next one.
struct Documents {
  std::vector<uint16_t> ids;
  TokenView view;
  explicit Documents(const std::vector<int>& lengths) {
    uint16_t next = 1;
    for (const int length : lengths) {
      ids.push_back(0);
      for (int i = 0; i < length; ++i) ids.push_back(next++);
    }
    ids.push_back(0);
    view = {std::as_bytes(std::span(ids)), 2, 65536, {}};
  }
};

TEST(Batch, DocumentsDoNotSeeEachOther) {
  const Documents text({2, 1, 9});
  Batch batch(default_device(), 1, 6, 1, 0);
  batch.fill_windows(text.view, 0);
  const Batch::Tensors& t = batch.tensors();
  EXPECT_EQ(t.tokens.to_vector<int>(), (std::vector<int>{0, 1, 2, 0, 3, 0}));
  EXPECT_EQ(t.targets.to_vector<int>(), (std::vector<int>{1, 2, 0, 3, 0, -1}));
  EXPECT_EQ(t.positions.to_vector<int>(), (std::vector<int>{0, 1, 2, 0, 1, 0}));
  const std::vector<int> segments = t.segments.to_vector<int>();
  EXPECT_EQ(std::vector<int>(segments.begin(), segments.begin() + 12),
            (std::vector<int>{0, 3, 0, 3, 3, 2, 3, 2, 5, 1, 5, 1}));
  for (size_t i = 12; i < segments.size(); i += 2)
    EXPECT_EQ(segments[i] * 10 + segments[i + 1], 60) << i;  // empty, behind all tokens
}

// Each target once; a document that fits into a window is in one window.
TEST(Batch, WindowsBeginWithDocuments) {
  const Documents text({2, 1, 9, 3, 3, 5, 1});
  for (const int64_t sequences : {1, 2, 3}) {
    Batch batch(default_device(), sequences, 6, 1, 0);
    std::vector<int32_t> seen, first;
    for (int64_t begin = 0; begin < text.view.size() - 1;) {
      begin = batch.fill_windows(text.view, begin);
      const auto tokens = batch.tensors().tokens.to_vector<int32_t>(),
                 targets = batch.tensors().targets.to_vector<int32_t>();
      for (size_t i = 0; i < targets.size(); ++i) {
        if (targets[i] < 0) continue;
        if (i % 6 == 0) first.push_back(tokens[i]);
        seen.push_back(targets[i]);
      }
    }
    EXPECT_EQ(seen, std::vector<int32_t>(text.ids.begin() + 1, text.ids.end()));
    EXPECT_EQ(first, (std::vector<int32_t>{0, 0, 9, 0, 0, 0, 0}));  // 9 is within the long one
  }
}

TEST(Batch, SamplesBeginWithDocuments) {
  const Documents text(std::vector<int>(50, 4));
  const Documents one({300});
  Batch batch(default_device(), 8, 10, 1, 0);
  batch.fill_samples(text.view, 3, 0);
  const auto tokens = batch.tensors().tokens.to_vector<int32_t>();
  std::set<int32_t> second;
  for (size_t i = 0; i < tokens.size(); i += 10) {
    EXPECT_EQ(tokens[i], 0);
    second.insert(tokens[i + 1]);
  }
  EXPECT_GT(second.size(), 4u);
  // Within a long document a sample begins anywhere.
  batch.fill_samples(one.view, 3, 0);
  const auto within = batch.tensors().tokens.to_vector<int32_t>();
  for (int64_t i = 0; i < 8; ++i)
    EXPECT_EQ(within[size_t(10 * i)], sample_offset(3, i, one.view.size(), 10));
}

TEST(Batch, PositionsAndSegments) {
  const Batch batch(default_device(), 2, 3, 0.5f);
  EXPECT_EQ(batch.tensors().positions.to_vector<int>(), (std::vector<int>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(batch.tensors().segments.to_vector<int>(), (std::vector<int>{0, 3, 0, 3, 3, 3, 3, 3}));
  EXPECT_EQ(batch.tensors().weights.to_vector<float>(), std::vector<float>(6, 0.5f));
}

}  // namespace
}  // namespace weft::train
