// Floating-point operations of a graph: a multiply and an add are two. Products, attention and the
// loss count; the rest is neglected. At the symbols' maxima.
#pragma once
#include "weft/graph/graph.h"

namespace weft {

// Attention counts the pairs of positions that a causal mask leaves when every segment has
// max_context tokens; its gradient 2.5 times as much (Dao et al., FlashAttention-2, section 4.1).
// Composite nodes count what they stand for.
double count_flops(const Graph& g);

}  // namespace weft
