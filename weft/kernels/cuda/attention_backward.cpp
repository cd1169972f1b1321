#include "weft/kernels/cuda/attention_backward.h"

#include <algorithm>
#include <cmath>

#include "weft/base/error.h"
#include "weft/kernels/cuda/attention_maps.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::TensorMap;

std::string schedule_text(const BackwardSchedule& s) {
  return format("constexpr weft::kernels::cuda::BackwardSchedule s{{{}, {}, {}}};\n", s.head_dim,
                s.stages, s.causal);
}

int64_t query_blocks(const AttentionShape& s) {
  return (s.segments[0].q_len + backward_queries - 1) / backward_queries;
}
int64_t all_blocks(const AttentionShape& s) {
  return query_blocks(s) * s.q_heads * s.segment_count;
}
size_t all_sum_bytes(const AttentionShape& s) {
  return size_t(all_blocks(s)) * backward_queries * size_t(s.head_dim) * sizeof(float);
}

// Queries, gradients and sums of a section: an eighth of an H200's L2. 4 and 6 MB were alike, 12 MB
// 1 % and 24 MB 5 % behind.
constexpr int64_t section_bytes = int64_t(6) << 20;

BackwardArguments arguments_of(const AttentionBackward& p) {
  const AttentionShape& s = p.shape;
  BackwardArguments a;
  a.segments = int(s.segment_count);
  a.q_len = s.segments[0].q_len, a.kv_len = s.segments[0].kv_len;
  a.q_heads = s.q_heads, a.kv_heads = s.kv_heads;
  a.q_blocks = int(query_blocks(s));
  const int64_t head_bytes = int64_t(a.q_len) * s.head_dim * 8 * a.q_heads / a.kv_heads;
  a.section = int(std::clamp<int64_t>(section_bytes / std::max<int64_t>(head_bytes, 1), 1,
                                      int64_t(a.segments) * a.kv_heads));
  a.scale = s.scale, a.scale_log2 = float(double(s.scale) * M_LOG2E);
  std::byte* scratch = static_cast<std::byte*>(p.scratch);
  a.query_sums = reinterpret_cast<float*>(scratch);
  scratch += all_sum_bytes(s);
  a.row_terms = reinterpret_cast<float*>(scratch);
  scratch += all_blocks(s) * row_term_bytes;
  a.added = reinterpret_cast<int*>(scratch);
  a.next_tile = a.added + all_blocks(s);
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
  kernel.launch(stream,
                {unsigned(arguments.q_blocks), unsigned(arguments.q_heads),
                 unsigned(arguments.segments), 256},
                values);
}

}  // namespace

BackwardSchedule backward_schedule(const AttentionShape& shape) {
  BackwardSchedule s;
  s.head_dim = shape.head_dim;
  s.causal = shape.causal;
  if (shape.head_dim == 64) s.stages = 4;
  return s;
}

std::vector<BackwardSchedule> shipped_backward_schedules() {
  std::vector<BackwardSchedule> all;
  for (const int head_dim : {64, 128})
    for (const bool causal : {false, true}) {
      AttentionShape shape;
      shape.head_dim = head_dim, shape.causal = causal;
      all.push_back(backward_schedule(shape));
    }
  return all;
}

size_t attention_backward_scratch_bytes(const AttentionShape& s) {
  if (s.segment_count == 0) return 0;
  return all_sum_bytes(s) + size_t(all_blocks(s)) * (row_term_bytes + sizeof(int)) + sizeof(int);
}

weft::cuda::KernelSource attention_backward_source(const BackwardSchedule& s) {
  weft::cuda::KernelSource source = kernel_source("attention_backward");
  source.headers.emplace_back("schedule", schedule_text(s));
  source.headers.emplace_back(
      "products", product_text({"score_product", backward_queries, false, false, false}) +
                      product_text({"key_product", s.head_dim, true, false, true}) +
                      product_text({"query_product", s.head_dim / 2, false, true, true}));
  return source;
}

weft::cuda::KernelSource attention_row_terms_source(const BackwardSchedule& s) {
  weft::cuda::KernelSource source = kernel_source("attention_row_terms");
  source.headers.emplace_back("schedule", schedule_text(s));
  return source;
}

void attention_backward(CudaStream& stream, const AttentionBackward& p) {
  const AttentionShape& shape = p.shape;
  if (shape.segment_count == 0 || shape.kv_rows == 0) return;
  check_attention(shape);
  if (shape.q_rows == 0)
    user_error("{}: its backward pass on the GPU wants queries", attention_name(shape));
  WEFT_CHECK(p.scratch != nullptr && p.lse != nullptr, "{} wants scratch and lse",
             attention_name(shape));
  const BackwardSchedule s = backward_schedule(shape);
  BackwardArguments arguments = arguments_of(p);
  const auto map = [&](const ConstHeadRows& x, int heads, int rows, int box_rows,
                       const char* name) {
    return head_map(x, heads, rows, shape, box_rows, name);
  };
  const auto result_map = [&](const HeadRows& x, const char* name) {
    return map({x.data, x.row_stride, x.head_stride}, shape.kv_heads, arguments.kv_len, 16, name);
  };
  TensorMap q = map(p.q, shape.q_heads, arguments.q_len, backward_queries, "q");
  TensorMap k = map(p.k, shape.kv_heads, arguments.kv_len, backward_keys, "k");
  TensorMap v = map(p.v, shape.kv_heads, arguments.kv_len, backward_keys, "v");
  TensorMap d_o = map(p.d_o, shape.q_heads, arguments.q_len, backward_queries, "the gradient of o");
  TensorMap dk = result_map(p.dk, "dk"), dv = result_map(p.dv, "dv");
  CudaDevice& device = stream.cuda_device();
  const CudaKernel& kernel =
      device.kernel("attention backward " + schedule_text(s), shared_bytes(s),
                    [&] { return attention_backward_source(s); });
  launch_row_terms(stream, p, s, arguments);
  const int blocks = std::min(device.multiprocessors(), backward_tiles(arguments));
  void* values[] = {&q, &k, &v, &d_o, &dk, &dv, &arguments};
  kernel.launch(stream, {unsigned(blocks), 1, 1, block_threads}, values);
}

}  // namespace weft::kernels::cuda
