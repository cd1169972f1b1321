#include "weft/kernels/cuda/attention.h"

#include <algorithm>
#include <cmath>

#include "weft/base/error.h"
#include "weft/kernels/cuda/attention_maps.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::TensorMap;

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
  weft::cuda::KernelSource source = kernel_source("attention");
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
  check_attention(shape);
  const AttentionArguments arguments = arguments_of(p);
  const auto map = [&](const ConstHeadRows& x, int heads, int rows, int box_rows,
                       const char* name) {
    return head_map(x, heads, rows, shape, box_rows, name);
  };
  const TensorMap q = map(p.q, shape.q_heads, arguments.q_len, attention_rows, "q");
  const TensorMap k = map(p.k, shape.kv_heads, arguments.kv_len, s.key_block, "k");
  const TensorMap v = map(p.v, shape.kv_heads, arguments.kv_len, s.key_block, "v");
  const TensorMap o =
      map({p.o.data, p.o.row_stride, p.o.head_stride}, shape.q_heads, arguments.q_len, 16, "o");
  CudaDevice& device = stream.cuda_device();
  const CudaKernel& kernel = device.kernel("attention " + schedule_text(s), shared_bytes(s),
                                           [&] { return attention_source(s); });
  WEFT_CHECK(p.scratch != nullptr, "{} wants scratch", attention_name(shape));
  stream.fill(static_cast<std::byte*>(p.scratch), 0,
              attention_forward_scratch_bytes(shape, device));
  const int blocks = std::min(device.multiprocessors(), attention_tiles(arguments));
  void* values[] = {const_cast<TensorMap*>(&q), const_cast<TensorMap*>(&k),
                    const_cast<TensorMap*>(&v), const_cast<TensorMap*>(&o),
                    const_cast<AttentionArguments*>(&arguments)};
  kernel.launch(stream, {unsigned(blocks), 1, 1, block_threads}, values);
}

}  // namespace weft::kernels::cuda
