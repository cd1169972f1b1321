#include "weft/train/batch.h"

#include <gtest/gtest.h>
#include <numeric>

#include "weft/base/error.h"

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

TEST(Batch, PiecesLieBehindOneAnother) {
  const Counting text(100);
  Batch batch(default_device(), 2, 5, 3);
  EXPECT_TRUE(batch.fits(0, 5));
  EXPECT_EQ(batch.add(0, text.view, 10, 3), 0);
  EXPECT_EQ(batch.add(0, text.view, 50, 2), 3);
  EXPECT_FALSE(batch.fits(0, 1));
  EXPECT_EQ(batch.add(1, text.view, 98, 1), 5);
  batch.upload(0.5f);
  const Batch::Tensors& t = batch.tensors();
  using Ints = std::vector<int32_t>;
  EXPECT_EQ(t.tokens.to_vector<int32_t>(), (Ints{10, 11, 12, 50, 51, 98, 0, 0, 0, 0}));
  EXPECT_EQ(t.targets.to_vector<int32_t>(), (Ints{11, 12, 13, 51, 52, 99, -1, -1, -1, -1}));
  EXPECT_EQ(t.positions.to_vector<int32_t>(), (Ints{0, 1, 2, 0, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(t.segments.to_vector<int32_t>(), (Ints{0, 3, 0, 3, 3, 2, 3, 2, 0, 0, 0, 0,  //
                                                   5, 1, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(t.weights.to_vector<float>(), std::vector<float>(10, 0.5f));
}

TEST(Batch, NothingIsLeftOfTheLastOne) {
  const Counting text(100);
  Batch used(default_device(), 2, 4, 2), fresh(default_device(), 2, 4, 2);
  used.add(0, text.view, 0, 4), used.add(1, text.view, 9, 2), used.add(1, text.view, 20, 2);
  used.upload(1);
  used.clear();
  for (Batch* batch : {&used, &fresh}) batch->add(1, text.view, 30, 3), batch->upload(1);
  EXPECT_EQ(used.tensors().tokens.to_vector<int>(), fresh.tensors().tokens.to_vector<int>());
  EXPECT_EQ(used.tensors().targets.to_vector<int>(), fresh.tensors().targets.to_vector<int>());
  EXPECT_EQ(used.tensors().segments.to_vector<int>(), fresh.tensors().segments.to_vector<int>());
}

TEST(Batch, APieceThatDoesNotFitIsAMistake) {
  const Counting text(100);
  Batch batch(default_device(), 1, 4, 2);
  EXPECT_THROW(batch.add(0, text.view, 0, 5), Error);
  batch.add(0, text.view, 0, 1), batch.add(0, text.view, 0, 1);
  EXPECT_FALSE(batch.fits(0, 1));  // there may be two
  EXPECT_THROW(batch.add(0, text.view, 0, 1), Error);
  batch.clear();
  EXPECT_THROW(batch.add(0, text.view, 97, 3), Error);  // the last has no token after it
}

}  // namespace
}  // namespace weft::train
