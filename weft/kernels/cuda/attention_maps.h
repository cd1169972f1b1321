// What attention's kernels for Hopper share on the host: what they take, the lists of segments and
// the tensor maps that they are launched with.
#pragma once
#include <string>
#include <vector>

#include "weft/device/cuda/tensor_map.h"
#include "weft/kernels/attention.h"
#include "weft/kernels/cuda/attention_segment_tiles.h"

namespace weft::kernels::cuda {

std::string attention_name(const AttentionShape& shape);

// Throws Error(user) for what is not for the GPU: other head sizes and types.
void check_attention(const AttentionShape& shape);

// Of the softmax: what its logits are multiplied by, that over ln 2, and, with a soft cap, what
// turns q k into the argument of tanh, doubled and over ln 2.
void set_scales(float qk_scale, float soft_cap, float& scale, float& scale_log2, float& cap_log2);

// A shape for each mode that is compiled and tested beforehand; others are compiled when asked for.
std::vector<AttentionShape> attention_modes();

// The tensor-core instructions of the forward pass, for device/attention_products.cuh.
std::string forward_products(int head_dim, int key_block, bool f16);

// The segments, and with them, as segments without keys or without queries, the rows that no
// segment has, so that results are written everywhere. `keys`: those of keys too.
std::vector<AttentionSegment> all_rows(const AttentionShape& shape, bool keys);

// How work is cut for one of the two directions.
struct SegmentOrder {
  bool by_keys = false;  // tiles are of keys, else of queries
  int tile_rows = 0;
  int heads = 0;             // that have tiles of their own
  int64_t row_bytes = 0;     // of what the tiles of a segment and head share, for each row
  int64_t shared_bytes = 0;  // of what is worked on together
};
// One list a launch.
std::vector<SegmentList> segment_lists(const std::vector<AttentionSegment>& segments,
                                       const SegmentOrder& order);

// x [rows][heads][head_dim] in boxes of box_rows by 64 columns of one head, for
// device/attention_rows.cuh: coordinates are column, head, box_rows - n, row + n for a box from
// `row` on of which n rows are there.
weft::cuda::TensorMap rows_map(const ConstHeadRows& x, int64_t rows, int heads, int box_rows,
                               const AttentionShape& shape, const char* name);

}  // namespace weft::kernels::cuda
