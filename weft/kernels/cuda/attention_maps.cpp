#include "weft/kernels/cuda/attention_maps.h"

#include <algorithm>
#include <cmath>

#include "weft/base/error.h"
#include "weft/kernels/cuda/matmul_checks.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

// At least one, which has the queries that see no key, or writes the results of no key.
int tiles_of(const AttentionSegment& s, const SegmentOrder& order) {
  const int rows = order.by_keys ? s.kv_len : s.q_len;
  return std::max(1, (rows + order.tile_rows - 1) / order.tile_rows);
}

// How much is worked on together. At the end of a launch it is two tiles for each multiprocessor of
// an H200 or more, so that short tiles are left to even them out.
void set_groups(SegmentList& list, const AttentionSegment* segments, const SegmentOrder& order) {
  constexpr int last_tiles = 264;
  int rows = 1;
  for (int i = 0; i < list.count; ++i)
    rows = std::max(rows, std::max(segments[i].q_len, segments[i].kv_len));
  const int64_t pairs = std::max<int64_t>(1, order.shared_bytes / (rows * order.row_bytes));
  list.heads_together = int(std::min<int64_t>(pairs, order.heads));
  list.group = int(std::clamp<int64_t>(pairs / order.heads, 1, list.count));
  int last_segments = 0, tiles = 0;  // of all heads
  while (last_segments < list.count && tiles < last_tiles)
    tiles += tiles_of(segments[list.count - ++last_segments], order) * order.heads;
  list.groups = (list.count - last_segments) / list.group + 1;
  const int own = tiles_of(segments[list.count - 1], order);
  const int last_heads = std::min((last_tiles + own - 1) / own, order.heads);
  list.head_groups = (order.heads - last_heads) / list.heads_together + 1;
  if (list.head_groups > 1) list.groups = list.count, list.group = 1;
}

// One launch's: the segments [begin, end), which are in order.
SegmentList list_of(const AttentionSegment* begin, const AttentionSegment* end,
                    const SegmentOrder& order) {
  SegmentList list{};
  list.count = int(end - begin), list.heads = order.heads;
  set_groups(list, begin, order);
  int q_blocks = 0;
  for (int i = 0; i < list.groups; ++i) {
    const int first = i * list.group;
    const int last = i < list.groups - 1 ? first + list.group : list.count;
    for (int j = first; j < last; ++j) {
      list.segments[j] = {begin[j].q_begin, begin[j].q_len, begin[j].kv_begin,
                          begin[j].kv_len,  list.places,    q_blocks};
      q_blocks += (begin[j].q_len + 63) / 64;
    }
    list.places += tiles_of(begin[first], order) * (last - first);
  }
  return list;
}

}  // namespace

std::string attention_name(const AttentionShape& s) {
  return format("attention of {} queries, {} keys, {} heads of {}", s.q_rows, s.kv_rows, s.q_heads,
                s.head_dim);
}

void check_attention(const AttentionShape& s) {
  const std::string name = attention_name(s);
  if (s.head_dim != 64 && s.head_dim != 128)
    user_error("{}: on the GPU heads have 64 or 128 elements", name);
  if (s.dtype != DType::bf16 && s.dtype != DType::f16)
    user_error("{}: on the GPU attention is in bf16 or f16, got {}", name, dtype_name(s.dtype));
  if (s.kv_heads < 1 || s.q_heads % s.kv_heads != 0)
    user_error("{}: {} key heads do not divide them", name, s.kv_heads);
}

void set_scales(float qk_scale, float soft_cap, float& scale, float& scale_log2, float& cap_log2) {
  const bool capped = soft_cap != 0;
  scale = capped ? soft_cap : qk_scale;
  scale_log2 = float(double(scale) * M_LOG2E);
  cap_log2 = capped ? float(2 * double(qk_scale) / double(soft_cap) * M_LOG2E) : 0;
}

std::vector<AttentionShape> attention_modes() {
  std::vector<AttentionShape> all;
  for (const int head_dim : {64, 128})
    for (int mode = 0; mode < 6; ++mode) {  // full, causal, that windowed, capped, f16, all of it
      AttentionShape shape;
      shape.head_dim = head_dim;
      shape.causal = mode > 0;
      if (mode == 2 || mode == 5) shape.window = 1;
      if (mode == 3 || mode == 5) shape.soft_cap = 1;
      if (mode == 4 || mode == 5) shape.dtype = DType::f16;
      all.push_back(shape);
    }
  return all;
}

std::string forward_products(int head_dim, int key_block, bool f16) {
  return product_text({"score_product", key_block, false, false, false, f16}) +
         product_text({"value_product", head_dim, true, false, true, f16});
}

std::vector<AttentionSegment> all_rows(const AttentionShape& shape, bool keys) {
  std::vector<AttentionSegment> all;
  int32_t q_end = 0, kv_end = 0;
  const auto add_gap = [&](int64_t q, int64_t kv) {
    if (q > q_end) all.push_back({q_end, int32_t(q - q_end), 0, 0});
    if (keys && kv > kv_end) all.push_back({0, 0, kv_end, int32_t(kv - kv_end)});
  };
  for (int64_t i = 0; i < shape.segment_count; ++i) {
    const AttentionSegment& s = shape.segments[i];
    add_gap(s.q_len > 0 ? s.q_begin : q_end, s.kv_len > 0 ? s.kv_begin : kv_end);
    if (s.q_len > 0 || (keys && s.kv_len > 0)) all.push_back(s);
    if (s.q_len > 0) q_end = s.q_begin + s.q_len;
    if (s.kv_len > 0) kv_end = s.kv_begin + s.kv_len;
  }
  add_gap(shape.q_rows, shape.kv_rows);
  return all;
}

std::vector<SegmentList> segment_lists(const std::vector<AttentionSegment>& segments,
                                       const SegmentOrder& order) {
  std::vector<AttentionSegment> sorted = segments;
  std::stable_sort(sorted.begin(), sorted.end(), [&](const auto& a, const auto& b) {
    return tiles_of(a, order) > tiles_of(b, order);
  });
  std::vector<SegmentList> lists;
  for (size_t i = 0; i < sorted.size(); i += launch_segments)
    lists.push_back(list_of(sorted.data() + i,
                            sorted.data() + std::min(sorted.size(), i + launch_segments), order));
  return lists;
}

weft::cuda::TensorMap rows_map(const ConstHeadRows& x, int64_t rows, int heads, int box_rows,
                               const AttentionShape& s, const char* name) {
  weft::cuda::TensorBoxes boxes;
  boxes.element = element_of(s.dtype);
  // A box starts box_rows - n in the third dimension, which ends it, and row + n in the fourth.
  boxes.data = static_cast<const std::byte*>(x.data) - box_rows * x.row_stride * 2;
  boxes.rank = 4;
  boxes.sizes = {s.head_dim, heads, box_rows, rows + 1};
  boxes.strides = {1, x.head_stride, x.row_stride, x.row_stride};
  boxes.box = {64, 1, box_rows, 1};
  return weft::cuda::make_tensor_map(boxes, format("{} of {}", name, attention_name(s)));
}

}  // namespace weft::kernels::cuda
