#include "weft/train/batch.h"

#include <gtest/gtest.h>
#include <numeric>

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
    int64_t predicted = 0;
    for (int64_t w = 0; w * 4 < n - 1; w += 3) {
      predicted += batch.fill_windows(text.view, w);
      for (const int32_t target : batch.tensors().targets.to_vector<int32_t>())
        if (target >= 0) seen.push_back(target);
    }
    std::vector<int32_t> all(size_t(n - 1));
    std::iota(all.begin(), all.end(), 1);
    EXPECT_EQ(seen, all);
    EXPECT_EQ(predicted, n - 1);
  }
}

TEST(Batch, PositionsAndSegments) {
  const Batch batch(default_device(), 2, 3, 0.5f);
  EXPECT_EQ(batch.tensors().positions.to_vector<int>(), (std::vector<int>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(batch.tensors().segments.to_vector<int>(), (std::vector<int>{0, 3, 0, 3, 3, 3, 3, 3}));
  EXPECT_EQ(batch.tensors().weights.to_vector<float>(), std::vector<float>(6, 0.5f));
}

}  // namespace
}  // namespace weft::train
