#include "weft/graph/plan.h"

#include <algorithm>
#include <numeric>

namespace weft {
namespace {

bool together(const Block& a, const Block& b) {
  return a.first <= b.last && b.first <= a.last;
}

// Places in the given order; returns the arena's size.
int64_t place_in_order(std::vector<Block>& blocks, const std::vector<size_t>& order) {
  std::vector<size_t> placed;  // ascending by offset
  int64_t top = 0;
  for (const size_t i : order) {
    int64_t at = 0;
    for (const size_t j : placed) {
      if (!together(blocks[i], blocks[j])) continue;
      if (at + blocks[i].bytes <= blocks[j].offset) break;
      at = std::max(at, blocks[j].offset + blocks[j].bytes);
    }
    blocks[i].offset = at;
    top = std::max(top, at + blocks[i].bytes);
    const auto by_offset = [&](size_t a, size_t b) { return blocks[a].offset < blocks[b].offset; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i, by_offset), i);
  }
  return top;
}

int64_t most_alive(const std::vector<Block>& blocks) {
  int steps = 0;
  for (const Block& b : blocks) steps = std::max(steps, b.last + 2);
  std::vector<int64_t> change(size_t(steps) + 1, 0);
  for (const Block& b : blocks)
    change[size_t(b.first)] += b.bytes, change[size_t(b.last) + 1] -= b.bytes;
  int64_t alive = 0, most = 0;
  for (const int64_t c : change) most = std::max(most, alive += c);
  return most;
}

}  // namespace

Placement place_blocks(std::vector<Block>& blocks, int64_t alignment) {
  for (Block& b : blocks) b.bytes = (b.bytes + alignment - 1) / alignment * alignment;
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t(0));
  const auto life = [](const Block& b) { return int64_t(b.last) - b.first + 1; };
  const auto sorted_by = [&](auto key) {
    std::vector<size_t> o = order;
    std::stable_sort(o.begin(), o.end(),
                     [&](size_t a, size_t b) { return key(blocks[a]) > key(blocks[b]); });
    return o;
  };
  const std::vector<std::vector<size_t>> orders = {
      sorted_by([](const Block& b) { return std::pair(b.bytes, int64_t(-b.first)); }),
      sorted_by([&](const Block& b) { return std::pair(b.bytes, life(b)); }),
      sorted_by([&](const Block& b) { return std::pair(life(b), b.bytes); }),
      sorted_by([&](const Block& b) {
        return std::pair(int64_t(double(b.bytes) / 4096.0 * double(life(b))), b.bytes);
      }),
      sorted_by([](const Block& b) { return std::pair(int64_t(-b.first), b.bytes); }),
  };
  std::vector<Block> best;
  int64_t best_bytes = INT64_MAX;
  for (const auto& o : orders) {
    std::vector<Block> trial = blocks;
    const int64_t bytes = place_in_order(trial, o);
    if (bytes < best_bytes) best_bytes = bytes, best = std::move(trial);
  }
  blocks = std::move(best);
  return {blocks.empty() ? 0 : best_bytes, most_alive(blocks)};
}

}  // namespace weft
