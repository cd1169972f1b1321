#include "weft/kernels/cuda/attention_maps.h"

#include "weft/base/error.h"

namespace weft::kernels::cuda {
namespace {

void check_segments(const AttentionShape& s) {
  const AttentionSegment& first = s.segments[0];
  for (int64_t i = 0; i < s.segment_count; ++i) {
    const AttentionSegment& x = s.segments[i];
    const bool even = x.q_len == first.q_len && x.kv_len == first.kv_len &&
                      x.q_begin == i * first.q_len && x.kv_begin == i * first.kv_len;
    if (!even)
      user_error("{}: on the GPU segments are of equal lengths, one behind the other, for now",
                 attention_name(s));
  }
  if (first.q_len * s.segment_count != s.q_rows)
    user_error("{}: on the GPU every row belongs to a segment, for now", attention_name(s));
  if (s.causal && first.kv_len < first.q_len)
    user_error("{}: a causal segment has {} queries, more than its {} keys", attention_name(s),
               first.q_len, first.kv_len);
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
  if (s.dtype != DType::bf16)
    user_error("{}: on the GPU attention is in bf16, got {}", name, dtype_name(s.dtype));
  if (s.window != 0) user_error("{}: windows are not for the GPU yet", name);
  if (s.kv_heads < 1 || s.q_heads % s.kv_heads != 0)
    user_error("{}: {} key heads do not divide them", name, s.kv_heads);
  check_segments(s);
}

weft::cuda::TensorMap head_map(const ConstHeadRows& x, int heads, int64_t rows,
                               const AttentionShape& s, int box_rows, const char* name) {
  weft::cuda::TensorBoxes boxes;
  boxes.data = x.data;
  boxes.rank = 4;
  boxes.sizes = {s.head_dim, heads, rows, s.segment_count};
  boxes.strides = {1, x.head_stride, x.row_stride, rows * x.row_stride};
  boxes.box = {64, 1, box_rows, 1};
  return weft::cuda::make_tensor_map(boxes, format("{} of {}", name, attention_name(s)));
}

}  // namespace weft::kernels::cuda
