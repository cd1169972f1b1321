#include "weft/kernels/cuda/attention.h"

#include <algorithm>
#include <cmath>

#include "weft/base/error.h"
#include "weft/device/cuda/tensor_map.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::TensorBoxes;
using weft::cuda::TensorMap;

std::string shape_of(const AttentionShape& s) {
  return format("attention of {} queries, {} keys, {} heads of {}", s.q_rows, s.kv_rows, s.q_heads,
                s.head_dim);
}

void check_segments(const AttentionShape& s) {
  const AttentionSegment& first = s.segments[0];
  for (int64_t i = 0; i < s.segment_count; ++i) {
    const AttentionSegment& x = s.segments[i];
    const bool even = x.q_len == first.q_len && x.kv_len == first.kv_len &&
                      x.q_begin == i * first.q_len && x.kv_begin == i * first.kv_len;
    if (!even)
      user_error("{}: on the GPU segments are of equal lengths, one behind the other, for now",
                 shape_of(s));
  }
  if (first.q_len * s.segment_count != s.q_rows)
    user_error("{}: on the GPU every row belongs to a segment, for now", shape_of(s));
  if (s.causal && first.kv_len < first.q_len)
    user_error("{}: a causal segment has {} queries, more than its {} keys", shape_of(s),
               first.q_len, first.kv_len);
}

void check_supported(const AttentionShape& s) {
  if (s.head_dim != 64 && s.head_dim != 128)
    user_error("{}: on the GPU heads have 64 or 128 elements", shape_of(s));
  if (s.dtype != DType::bf16)
    user_error("{}: on the GPU attention is in bf16, got {}", shape_of(s), dtype_name(s.dtype));
  if (s.window != 0) user_error("{}: windows are not for the GPU yet", shape_of(s));
  if (s.kv_heads < 1 || s.q_heads % s.kv_heads != 0)
    user_error("{}: {} key heads do not divide them", shape_of(s), s.kv_heads);
  check_segments(s);
}

// [segments][rows][heads][head_dim], in boxes of box_rows by 64 of one head.
TensorMap head_map(const void* data, int64_t row_stride, int64_t head_stride, int heads,
                   int64_t rows, const AttentionShape& s, int box_rows, const char* name) {
  TensorBoxes boxes;
  boxes.data = data;
  boxes.rank = 4;
  boxes.sizes = {s.head_dim, heads, rows, s.segment_count};
  boxes.strides = {1, head_stride, row_stride, rows * row_stride};
  boxes.box = {64, 1, box_rows, 1};
  return weft::cuda::make_tensor_map(boxes, format("{} of {}", name, shape_of(s)));
}

std::string schedule_text(const AttentionSchedule& s) {
  return format("constexpr weft::kernels::cuda::AttentionSchedule s{{{}, {}, {}, {}, {}}};\n",
                s.head_dim, s.key_block, s.chunk, s.stages, s.causal);
}

// Keys and values of a section fill about half of an H200's L2 (50 MB in two halves).
constexpr int64_t section_bytes = int64_t(24) << 20;

AttentionArguments arguments_of(const AttentionForward& p) {
  const AttentionShape& s = p.shape;
  AttentionArguments a;
  a.segments = int(s.segment_count);
  a.q_len = s.segments[0].q_len, a.kv_len = s.segments[0].kv_len;
  a.q_heads = s.q_heads, a.kv_heads = s.kv_heads;
  const int64_t pair_bytes =
      int64_t(a.kv_len) * s.head_dim * 2 * int64_t(sizeof(bf16)) * a.kv_heads / a.q_heads;
  a.section = int(std::clamp<int64_t>(section_bytes / std::max<int64_t>(pair_bytes, 1), 1,
                                      int64_t(a.segments) * a.q_heads));
  a.scale = s.scale, a.scale_log2 = float(double(s.scale) * M_LOG2E);
  a.lse = p.lse;
  a.next_tile = static_cast<int*>(p.scratch);
  return a;
}

}  // namespace

AttentionSchedule attention_schedule(const AttentionShape& shape) {
  AttentionSchedule s;
  s.head_dim = shape.head_dim;
  s.causal = shape.causal;
  if (shape.head_dim == 64) s.stages = 4;
  return s;
}

size_t attention_forward_scratch_bytes(const AttentionShape&, const CudaDevice&) {
  return sizeof(int);
}

std::vector<AttentionSchedule> shipped_attention_schedules() {
  std::vector<AttentionSchedule> all;
  for (const int head_dim : {64, 128})
    for (const bool causal : {false, true}) {
      AttentionShape shape;
      shape.head_dim = head_dim, shape.causal = causal;
      all.push_back(attention_schedule(shape));
    }
  return all;
}

weft::cuda::KernelSource attention_source(const AttentionSchedule& s) {
  weft::cuda::KernelSource source;
  source.name = "attention";
  source.text = kernel_text("weft/kernels/cuda/device/attention.cu");
  source.headers = kernel_headers();
  source.headers.emplace_back("schedule", schedule_text(s));
  source.headers.emplace_back("products",
                              product_text({"score_product", s.key_block, false, false, false}) +
                                  product_text({"value_product", s.head_dim, true, false, true}));
  return source;
}

void attention_forward(CudaStream& stream, const AttentionForward& p) {
  attention_forward(stream, p, attention_schedule(p.shape));
}

void attention_forward(CudaStream& stream, const AttentionForward& p, const AttentionSchedule& s) {
  const AttentionShape& shape = p.shape;
  if (shape.segment_count == 0 || shape.q_rows == 0) return;
  check_supported(shape);
  const AttentionArguments arguments = arguments_of(p);
  const auto map = [&](const ConstHeadRows& x, int heads, int rows, int box_rows,
                       const char* name) {
    return head_map(x.data, x.row_stride, x.head_stride, heads, rows, shape, box_rows, name);
  };
  const TensorMap q = map(p.q, shape.q_heads, arguments.q_len, attention_rows, "q");
  const TensorMap k = map(p.k, shape.kv_heads, arguments.kv_len, s.key_block, "k");
  const TensorMap v = map(p.v, shape.kv_heads, arguments.kv_len, s.key_block, "v");
  const TensorMap o =
      map({p.o.data, p.o.row_stride, p.o.head_stride}, shape.q_heads, arguments.q_len, 16, "o");
  CudaDevice& device = stream.cuda_device();
  const CudaKernel& kernel = device.kernel("attention " + schedule_text(s), shared_bytes(s),
                                           [&] { return attention_source(s); });
  WEFT_CHECK(p.scratch != nullptr, "{} wants scratch", shape_of(shape));
  stream.fill(static_cast<std::byte*>(p.scratch), 0,
              attention_forward_scratch_bytes(shape, device));
  const int blocks = std::min(device.multiprocessors(), attention_tiles(arguments));
  void* values[] = {const_cast<TensorMap*>(&q), const_cast<TensorMap*>(&k),
                    const_cast<TensorMap*>(&v), const_cast<TensorMap*>(&o),
                    const_cast<AttentionArguments*>(&arguments)};
  kernel.launch(stream, {unsigned(blocks), 1, 1, block_threads}, values);
}

}  // namespace weft::kernels::cuda
