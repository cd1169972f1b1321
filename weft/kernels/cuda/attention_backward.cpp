#include "weft/kernels/cuda/attention_backward.h"

#include <algorithm>

#include "weft/base/error.h"
#include "weft/kernels/cuda/attention_maps.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::TensorMap;

std::string schedule_text(const BackwardSchedule& s) {
  return format("constexpr weft::kernels::cuda::BackwardSchedule s{{{}, {}, {}, {}, {}, {}}};\n",
                s.head_dim, s.stages, s.causal, s.windowed, s.capped, s.f16);
}

int64_t query_blocks_of(const AttentionShape& s) {
  int64_t blocks = 0;
  for (const AttentionSegment& x : all_rows(s, true)) blocks += query_blocks(x.q_len);
  return blocks;
}
size_t sum_bytes(const AttentionShape& s, int64_t blocks) {
  return size_t(blocks * s.q_heads) * backward_queries * size_t(s.head_dim) * sizeof(float);
}

// Queries, gradients and sums worked on together: an eighth of an H200's L2. 4 and 6 MB were alike,
// 12 MB 1 % and 24 MB 5 % behind.
SegmentOrder order_of(const AttentionShape& s) {
  SegmentOrder order;
  order.by_keys = true;
  order.tile_rows = backward_keys, order.heads = s.kv_heads;
  order.row_bytes = int64_t(s.head_dim) * 8 * s.q_heads / s.kv_heads;
  order.shared_bytes = int64_t(6) << 20;
  return order;
}

BackwardArguments arguments_of(const AttentionBackward& p) {
  const AttentionShape& s = p.shape;
  BackwardArguments a{};
  a.q_heads = s.q_heads, a.window = s.window;
  float scale;
  set_scales(s.scale, s.soft_cap, scale, a.scale_log2, a.cap_log2);
  a.slope_scale = s.scale;
  const int64_t blocks = query_blocks_of(s);
  std::byte* scratch = static_cast<std::byte*>(p.scratch);
  a.query_sums = reinterpret_cast<float*>(scratch);
  scratch += sum_bytes(s, blocks);
  a.row_terms = reinterpret_cast<float*>(scratch);
  scratch += blocks * s.q_heads * row_term_bytes;
  a.added = reinterpret_cast<int*>(scratch);
  a.next_tile = a.added + blocks * s.q_heads;
  a.dq = static_cast<unsigned short*>(p.dq.data);
  a.dq_row_stride = p.dq.row_stride, a.dq_head_stride = p.dq.head_stride;
  return a;
}

struct Rows {  // as in attention_row_terms.cu
  const void* data;
  long long row_stride, head_stride;
};
Rows rows_of(const ConstHeadRows& x, const AttentionShape& shape, const char* name) {
  if (reinterpret_cast<uintptr_t>(x.data) % 16 != 0 || x.row_stride % 8 != 0 ||
      x.head_stride % 8 != 0)
    user_error(
        "{} of {}: expected an address in multiples of 16 bytes and strides in multiples of "
        "8 elements, got strides {} and {}",
        name, attention_name(shape), x.row_stride, x.head_stride);
  return {x.data, x.row_stride, x.head_stride};
}

void launch_row_terms(CudaStream& stream, const AttentionBackward& p, const BackwardSchedule& s,
                      BackwardArguments& arguments) {
  const CudaKernel& kernel = stream.cuda_device().kernel(
      "attention row terms " + schedule_text(s), 0, [&] { return attention_row_terms_source(s); });
  Rows o = rows_of(p.o, p.shape, "o"), d_o = rows_of(p.d_o, p.shape, "the gradient of o");
  rows_of({p.dq.data, p.dq.row_stride, p.dq.head_stride}, p.shape, "dq");
  void* values[] = {&arguments, &o, &d_o, const_cast<float**>(&p.lse), &arguments.row_terms};
  int blocks = 1;
  for (int i = 0; i < arguments.list.count; ++i)
    blocks = std::max(blocks, query_blocks(arguments.list.segments[i].q_len));
  kernel.launch(stream,
                {unsigned(blocks), unsigned(p.shape.q_heads), unsigned(arguments.list.count), 256},
                values);
}

}  // namespace

BackwardSchedule backward_schedule(const AttentionShape& shape) {
  BackwardSchedule s;
  s.head_dim = shape.head_dim;
  s.causal = shape.causal;
  s.windowed = shape.window != 0;
  s.capped = shape.soft_cap != 0;
  s.f16 = shape.dtype == DType::f16;
  if (shape.head_dim == 64) s.stages = 4;
  return s;
}

std::vector<BackwardSchedule> shipped_backward_schedules() {
  std::vector<BackwardSchedule> all;
  for (const AttentionShape& shape : attention_modes()) all.push_back(backward_schedule(shape));
  return all;
}

size_t attention_backward_scratch_bytes(const AttentionShape& s) {
  const int64_t blocks = query_blocks_of(s);
  return sum_bytes(s, blocks) + size_t(blocks * s.q_heads) * (row_term_bytes + sizeof(int)) +
         sizeof(int);
}

weft::cuda::KernelSource attention_backward_source(const BackwardSchedule& s) {
  weft::cuda::KernelSource source = kernel_source("attention_backward");
  source.headers.emplace_back("schedule", schedule_text(s));
  source.headers.emplace_back(
      "products", product_text({"score_product", backward_queries, false, false, false, s.f16}) +
                      product_text({"key_product", s.head_dim, true, false, true, s.f16}) +
                      product_text({"query_product", s.head_dim / 2, false, true, true, s.f16}));
  return source;
}

weft::cuda::KernelSource attention_row_terms_source(const BackwardSchedule& s) {
  weft::cuda::KernelSource source = kernel_source("attention_row_terms");
  source.headers.emplace_back("schedule", schedule_text(s));
  return source;
}

void attention_backward(CudaStream& stream, const AttentionBackward& p) {
  const AttentionShape& shape = p.shape;
  if (shape.q_rows == 0 && shape.kv_rows == 0) return;
  check_attention(shape);
  WEFT_CHECK(p.scratch != nullptr && p.lse != nullptr, "{} wants scratch and lse",
             attention_name(shape));
  const BackwardSchedule s = backward_schedule(shape);
  const auto q_map = [&](const ConstHeadRows& x, const char* name) {
    return rows_map(x, shape.q_rows, shape.q_heads, backward_queries, shape, name);
  };
  const auto kv_map = [&](const ConstHeadRows& x, int box_rows, const char* name) {
    return rows_map(x, shape.kv_rows, shape.kv_heads, box_rows, shape, name);
  };
  const auto result_map = [&](const HeadRows& x, const char* name) {
    return kv_map({x.data, x.row_stride, x.head_stride}, 16, name);
  };
  TensorMap q = q_map(p.q, "q"), d_o = q_map(p.d_o, "the gradient of o");
  TensorMap k = kv_map(p.k, backward_keys, "k"), v = kv_map(p.v, backward_keys, "v");
  TensorMap dk = result_map(p.dk, "dk"), dv = result_map(p.dv, "dv");
  CudaDevice& device = stream.cuda_device();
  const CudaKernel& kernel =
      device.kernel("attention backward " + schedule_text(s), shared_bytes(s),
                    [&] { return attention_backward_source(s); });
  BackwardArguments arguments = arguments_of(p);
  for (const SegmentList& list : segment_lists(all_rows(shape, true), order_of(shape))) {
    arguments.list = list;
    launch_row_terms(stream, p, s, arguments);
    const int blocks = std::min(device.multiprocessors(), order_length(list));
    void* values[] = {&q, &k, &v, &d_o, &dk, &dv, &arguments};
    kernel.launch(stream, {unsigned(blocks), 1, 1, block_threads}, values);
  }
}

}  // namespace weft::kernels::cuda
