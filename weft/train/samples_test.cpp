#include "weft/train/samples.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <rapidcheck/gtest.h>
#include <set>

#include "tests/expect_error.h"

namespace weft::train {
namespace {

// Token i is i; documents of these lengths.
struct Text {
  std::vector<uint16_t> ids;
  std::vector<uint64_t> ends;
  explicit Text(const std::vector<int64_t>& lengths) {
    uint64_t end = 0;
    for (const int64_t length : lengths) ends.push_back(end += uint64_t(length));
    ids.resize(end);
    std::iota(ids.begin(), ids.end(), uint16_t(0));
  }
  Documents documents() const { return {{std::as_bytes(std::span(ids)), 2, 65536, {}}, ends}; }
};

TrainConfig config_of(int64_t context, const std::string& rows = "auto", int64_t seed = 5) {
  TrainConfig c;
  c.model.context = context, c.rows = rows, c.seed = seed;
  return c;
}

std::vector<Piece> sample(const Samples& samples, int64_t i) {
  std::vector<Piece> pieces;
  samples.get(i, pieces);
  return pieces;
}
int64_t length_of(const std::vector<Piece>& pieces) {
  int64_t sum = 0;
  for (const Piece& piece : pieces) sum += piece.length;
  return sum;
}
using Key = std::vector<std::pair<int64_t, int64_t>>;
Key key_of(const std::vector<Piece>& pieces) {
  Key key;
  for (const Piece& piece : pieces) key.emplace_back(piece.begin, piece.length);
  return key;
}

TEST(Samples, OffsetsAreUniformOverAllPlacesThatFit) {
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

TEST(Samples, ASingleTextIsCropped) {
  const Text text({1000});
  const Samples samples(config_of(8), {{text.documents()}});
  EXPECT_EQ(samples.max_pieces(), 1);
  EXPECT_EQ(samples.targets(3, 10), 80);
  for (int64_t i = 0; i < 50; ++i)
    EXPECT_EQ(key_of(sample(samples, i)), (Key{{sample_offset(5, i, 1000, 8), 8}}));
}

RC_GTEST_PROP(Samples, APermutationHasEveryPlaceOnce, ()) {
  const int64_t n = *rc::gen::inRange<int64_t>(1, 300);
  const uint64_t key = *rc::gen::arbitrary<uint64_t>();
  std::set<int64_t> places;
  for (int64_t i = 0; i < n; ++i) places.insert(permuted(key, i, n));
  RC_ASSERT(int64_t(places.size()) == n);
  RC_ASSERT(*places.begin() == 0 && *places.rbegin() == n - 1);
}

TEST(Samples, PermutationsDiffer) {
  std::set<std::vector<int64_t>> orders;
  for (uint64_t key = 0; key < 200; ++key) {
    std::vector<int64_t> order;
    for (int64_t i = 0; i < 4; ++i) order.push_back(permuted(key, i, 4));
    orders.insert(order);
  }
  EXPECT_GE(orders.size(), 20u);  // of 24
  // Frozen, as offsets are.
  EXPECT_EQ(permuted(1, 0, 1000), 852);
  EXPECT_EQ(permuted(1, 999, 1000), 816);
}

// Every token of every document but the last is to predict the next, once an epoch; documents are
// cut for their length only, rows are at most as long as the context.
RC_GTEST_PROP(Samples, AnEpochHasEveryTokenOnce, ()) {
  const auto lengths =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<int64_t>>(rc::gen::inRange(1, 60)));
  const int64_t context = *rc::gen::inRange(1, 40);
  const Text text(lengths);
  RC_PRE(*std::ranges::max_element(lengths) > 1);
  const Samples samples(config_of(context, "documents"), {{text.documents()}});
  int64_t rows = 0, left = 0;
  for (const int64_t length : lengths) left += length - 1;
  const int64_t all = left;
  std::set<std::pair<int64_t, int64_t>> want, got;
  for (int64_t d = 0; d < text.documents().size(); ++d)
    for (int64_t at = text.documents().begin(d); at < text.documents().end(d) - 1; at += context)
      want.emplace(at, std::min(context, text.documents().end(d) - 1 - at));
  for (; left > 0; ++rows) {
    const std::vector<Piece> pieces = sample(samples, rows);
    RC_ASSERT(!pieces.empty() && length_of(pieces) <= context);
    RC_ASSERT(int64_t(pieces.size()) <= samples.max_pieces());
    RC_ASSERT(samples.targets(rows, 1) == length_of(pieces));
    for (const auto& piece : key_of(pieces)) RC_ASSERT(got.insert(piece).second);
    left -= length_of(pieces);
  }
  RC_ASSERT(left == 0 && got == want);
  RC_ASSERT(samples.targets(0, rows) == all);
  RC_ASSERT(samples.targets(rows, rows) == all);  // the next epoch
}

TEST(Samples, RowsAreFull) {
  std::vector<int64_t> lengths;
  for (uint64_t i = 0; i < 2000; ++i) lengths.push_back(2 + permuted(3, int64_t(i), 2000) % 400);
  const Text text(lengths);
  const Samples samples(config_of(256), {{text.documents()}});
  const int64_t targets = int64_t(text.ids.size()) - 2000, rows = targets / 256 + 1;
  EXPECT_GT(samples.targets(0, rows), targets * 985 / 1000);
}

TEST(Samples, EpochsAndSeedsHaveOrdersOfTheirOwn) {
  const Text text(std::vector<int64_t>(100, 17));  // each fills a row
  const auto order = [&](int64_t seed, int64_t first) {
    const Samples samples(config_of(16, "documents", seed), {{text.documents()}});
    std::vector<Key> keys;
    for (int64_t i = 0; i < 100; ++i) keys.push_back(key_of(sample(samples, first + i)));
    return keys;
  };
  EXPECT_EQ(order(1, 0), order(1, 0));
  EXPECT_NE(order(1, 0), order(1, 100));
  EXPECT_NE(order(1, 0), order(2, 0));
}

TEST(Samples, AMixtureHasExactShares) {
  const Text a({5000}), b(std::vector<int64_t>(50, 17)), c({400});
  const Samples samples(config_of(16, "documents"),
                        {{a.documents(), 0.7}, {b.documents(), 0.2}, {c.documents(), 0.1}});
  std::map<int32_t, int64_t> seen;
  std::map<int32_t, std::map<Key, int>> rows;
  for (int64_t i = 0; i < mixture_block; ++i) {
    const std::vector<Piece> pieces = sample(samples, i);
    for (const Piece& piece : pieces) {
      EXPECT_EQ(piece.source, pieces[0].source);
      EXPECT_EQ(samples.tokens(piece).size(),
                std::vector<int64_t>({5000, 850, 400})[size_t(piece.source)]);
    }
    ++seen[pieces[0].source], ++rows[pieces[0].source][key_of(pieces)];
  }
  EXPECT_EQ(seen, (std::map<int32_t, int64_t>{{0, 2867}, {1, 819}, {2, 410}}));
  // Within a source epochs follow one another: no row is more than one visit ahead.
  for (const auto& [source, visits] : rows) {
    std::set<int> counts;
    for (const auto& [key, count] : visits) counts.insert(count);
    EXPECT_LE(*counts.rbegin() - *counts.begin(), 1) << source;
  }
  EXPECT_EQ(rows[1].size(), 50u);
  std::vector<int32_t> first, second;
  for (int64_t i = 0; i < 100; ++i) {
    first.push_back(sample(samples, i)[0].source);
    second.push_back(sample(samples, mixture_block + i)[0].source);
  }
  EXPECT_NE(first, second);
}

TEST(Samples, ErrorsAreSentences) {
  const Text text({8}), tiny({1, 1});
  EXPECT_ERROR(data, "8 tokens to train on, but a context of 8 needs 9",
               Samples(config_of(8, "crops"), {{text.documents()}}));
  EXPECT_NO_THROW(Samples(config_of(7, "crops"), {{text.documents()}}));
  EXPECT_ERROR(data, "no document has two tokens", Samples(config_of(8), {{tiny.documents()}}));
  EXPECT_ERROR(user, "must be above 0 and below 1e9, got -1",
               Samples(config_of(7), {{text.documents(), 1}, {text.documents(), -1}}));
  EXPECT_ERROR(user, "at least 1/4096 of all",
               Samples(config_of(7), {{text.documents(), 1}, {text.documents(), 1e-6}}));
}

}  // namespace
}  // namespace weft::train
