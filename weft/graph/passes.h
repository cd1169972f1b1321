// The passes: graph in, graph out, verified after each. None drops a rounding or reorders a sum, so
// a compiled graph gives the bits that its nodes one by one would give.
#pragma once
#include <string>
#include <vector>

#include "weft/graph/graph.h"

namespace weft {

// Replaces nodes that have no kernel on `device` by their decompositions, until none is left; drops
// markers (identity, stop_gradient).
void expand_composites(Graph& g, DeviceKind device);
// x * 1 and casts to the same type disappear; broadcasts of constants become constants.
void simplify(Graph& g);
// Equal pure nodes become one.
void merge_equal(Graph& g);
// Drops what no output needs, and outputs that nobody reads.
void remove_dead(Graph& g);
// gelu and residual additions after a product, and residual gradients after a norm's gradient,
// become part of their kernels.
void fuse_epilogues(Graph& g);
// Chains of pointwise nodes become one node; broadcasts and constants are read in place.
void fuse_pointwise(Graph& g);

// Moves a node that reads one large value and gives a small one right behind where that value is
// made: it is read while it is still in a cache, and need not be kept for it.
void reduce_early(Graph& g);

struct PassOptions {
  bool fuse = true;              // off: every node its own kernel; same bits, for tests
  std::string* trace = nullptr;  // receives the graph after each pass
};
void run_passes(Graph& g, DeviceKind device, const PassOptions& options = {});

}  // namespace weft
