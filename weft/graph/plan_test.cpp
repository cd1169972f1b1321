#include "weft/graph/plan.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace weft {
namespace {

constexpr int64_t alignment = 64;

Block any_block() {
  const int first = *rc::gen::inRange(0, 20);
  return {*rc::gen::inRange<int64_t>(0, 3000), first, first + *rc::gen::inRange(0, 8)};
}

bool overlap(const Block& a, const Block& b) {
  const bool together = a.first <= b.last && b.first <= a.last;
  return together && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

int64_t bytes_alive_at(int step, const std::vector<Block>& blocks) {
  int64_t bytes = 0;
  for (const Block& b : blocks)
    if (b.first <= step && step <= b.last) bytes += b.bytes;
  return bytes;
}

RC_GTEST_PROP(Plan, BlocksAliveTogetherLieApart, ()) {
  std::vector<Block> blocks;
  for (int n = *rc::gen::inRange(0, 40); n > 0; --n) blocks.push_back(any_block());
  const Placement plan = place_blocks(blocks, alignment);
  int64_t most_alive = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    RC_ASSERT(blocks[i].offset % alignment == 0);
    RC_ASSERT(blocks[i].offset >= 0 && blocks[i].offset + blocks[i].bytes <= plan.bytes);
    for (size_t j = 0; j < i; ++j) RC_ASSERT(!overlap(blocks[i], blocks[j]));
    most_alive = std::max(most_alive, bytes_alive_at(blocks[i].first, blocks));
  }
  RC_ASSERT(plan.lower_bound == most_alive);
  RC_ASSERT(plan.bytes >= most_alive);
}

// A chain, where each step reads what the one before wrote, needs two of them at a time.
TEST(Plan, ChainOfEqualBlocksNeedsNoMoreThanTheBound) {
  std::vector<Block> blocks;
  for (int i = 0; i < 50; ++i) blocks.push_back({1000, i, i + 1});
  const Placement plan = place_blocks(blocks, alignment);
  EXPECT_EQ(plan.lower_bound, 2 * 1024);
  EXPECT_EQ(plan.bytes, plan.lower_bound);
}

}  // namespace
}  // namespace weft
