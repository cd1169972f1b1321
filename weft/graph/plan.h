// The static memory plan: which bytes every value of an executable lies in, known before anything
// runs. Plain CPU code over sizes and lifetimes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace weft {

// A block of temporary bytes, alive from step `first` to step `last` inclusive.
struct Block {
  int64_t bytes;
  int first, last;
  int64_t offset = 0;  // the plan's answer
};

struct Placement {
  int64_t bytes = 0;        // of the arena
  int64_t lower_bound = 0;  // the most bytes alive in any one step: no placement can need less
};

// Gives each block an offset such that blocks alive together do not overlap. Largest first, each at
// the lowest gap that holds it; of several such orders the smallest arena wins. Offsets are
// multiples of `alignment`.
Placement place_blocks(std::vector<Block>& blocks, int64_t alignment);

}  // namespace weft
