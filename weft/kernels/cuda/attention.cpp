#include "weft/kernels/cuda/attention.h"

#include <algorithm>

#include "weft/base/error.h"
#include "weft/kernels/cuda/attention_maps.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::TensorMap;

std::string schedule_text(const AttentionSchedule& s) {
  return format(
      "constexpr weft::kernels::cuda::AttentionSchedule s{{{}, {}, {}, {}, {}, {}, {}, {}, {}}};\n",
      s.head_dim, s.key_block, s.chunk, s.stages, s.groups, s.causal, s.windowed, s.capped, s.f16);
}

// Keys and values worked on together: a quarter of an H200's L2.
constexpr int64_t together_bytes = int64_t(12) << 20;

SegmentOrder order_of(const AttentionShape& s, const AttentionSchedule& schedule) {
  SegmentOrder order;
  order.tile_rows = tile_rows(schedule), order.heads = s.q_heads;
  order.row_bytes = std::max<int64_t>(1, int64_t(s.head_dim) * 4 * s.kv_heads / s.q_heads);
  order.shared_bytes = together_bytes;
  return order;
}

AttentionArguments arguments_of(const AttentionForward& p) {
  const AttentionShape& s = p.shape;
  AttentionArguments a{};
  a.kv_heads = s.kv_heads, a.window = s.window;
  set_scales(s.scale, s.soft_cap, a.scale, a.scale_log2, a.cap_log2);
  a.lse = p.lse;
  a.next_tile = static_cast<int*>(p.scratch);
  return a;
}

// A third warpgroup hides more of what the others wait for; few queries leave more of its tiles
// unused (causal, TFLOP/s with two and three: S 256 172, 138; S 512 246, 250; S 1024 320, 337).
// Heads of 128 have no registers for it, nor have capped scores.
constexpr int32_t large_tiles_from = 512;
int groups_of(const AttentionShape& s, int32_t longest) {
  const bool fits = s.head_dim == 64 && s.soft_cap == 0;
  return fits && (!s.causal || longest >= large_tiles_from) ? 3 : 2;
}
int32_t longest_queries(const AttentionShape& s) {
  int32_t longest = 0;
  for (int64_t i = 0; i < s.segment_count; ++i) longest = std::max(longest, s.segments[i].q_len);
  return longest;
}

}  // namespace

AttentionSchedule attention_schedule(const AttentionShape& shape) {
  AttentionSchedule s;
  s.head_dim = shape.head_dim;
  s.causal = shape.causal;
  s.windowed = shape.window != 0;
  s.capped = shape.soft_cap != 0;
  s.f16 = shape.dtype == DType::f16;
  if (shape.head_dim == 64) s.stages = 4;
  s.groups = groups_of(shape, longest_queries(shape));
  return s;
}

size_t attention_forward_scratch_bytes(const AttentionShape&, const CudaDevice&) {
  return sizeof(int);
}

std::vector<AttentionSchedule> shipped_attention_schedules() {
  std::vector<AttentionSchedule> all;
  for (const AttentionShape& shape : attention_modes()) {
    all.push_back(attention_schedule(shape));
    AttentionSchedule large = all.back();  // of long segments
    large.groups = groups_of(shape, large_tiles_from);
    if (large != all.back()) all.push_back(large);
  }
  return all;
}

weft::cuda::KernelSource attention_source(const AttentionSchedule& s) {
  weft::cuda::KernelSource source = kernel_source("attention");
  source.headers.emplace_back("schedule", schedule_text(s));
  source.headers.emplace_back("products", forward_products(s.head_dim, s.key_block, s.f16));
  return source;
}

void attention_forward(CudaStream& stream, const AttentionForward& p) {
  attention_forward(stream, p, attention_schedule(p.shape));
}

void attention_forward(CudaStream& stream, const AttentionForward& p, const AttentionSchedule& s) {
  const AttentionShape& shape = p.shape;
  if (shape.q_rows == 0) return;
  check_attention(shape);
  WEFT_CHECK(p.scratch != nullptr, "{} wants scratch", attention_name(shape));
  TensorMap q = rows_map(p.q, shape.q_rows, shape.q_heads, tile_rows(s), shape, "q");
  TensorMap k = rows_map(p.k, shape.kv_rows, shape.kv_heads, s.key_block, shape, "k");
  TensorMap v = rows_map(p.v, shape.kv_rows, shape.kv_heads, s.key_block, shape, "v");
  TensorMap o = rows_map({p.o.data, p.o.row_stride, p.o.head_stride}, shape.q_rows, shape.q_heads,
                         16, shape, "o");
  CudaDevice& device = stream.cuda_device();
  const CudaKernel& kernel = device.kernel("attention " + schedule_text(s), shared_bytes(s),
                                           [&] { return attention_source(s); });
  AttentionArguments arguments = arguments_of(p);
  for (const SegmentList& list : segment_lists(all_rows(shape, false), order_of(shape, s))) {
    arguments.list = list;
    stream.fill(static_cast<std::byte*>(p.scratch), 0, sizeof(int));
    const int blocks = std::min(device.multiprocessors(), order_length(list));
    void* values[] = {&q, &k, &v, &o, &arguments};
    kernel.launch(stream, {unsigned(blocks), 1, 1, unsigned(attention_threads(s))}, values);
  }
}

}  // namespace weft::kernels::cuda
