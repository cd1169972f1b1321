#include "weft/kernels/cuda/attention_paged.h"

#include <algorithm>

#include "weft/base/error.h"
#include "weft/kernels/cuda/attention_maps.h"
#include "weft/kernels/cuda/layout.h"
#include "weft/kernels/cuda/matmul_checks.h"
#include "weft/kernels/cuda/texts.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::TensorBoxes;
using weft::cuda::TensorMap;

std::string name_of(const PagedAttention& p) {
  return format("paged attention of {} sequences, {} heads of {} over {}, pages of {}", p.sequences,
                p.q_heads, p.head_dim, p.kv_heads, p.page);
}

void check_supported(const PagedAttention& p) {
  const std::string name = name_of(p);
  if (p.head_dim != 64 && p.head_dim != 128)
    user_error("{}: on the GPU heads have 64 or 128 elements", name);
  if (p.kv_heads < 1 || p.q_heads % p.kv_heads != 0 || p.q_heads / p.kv_heads > paged_rows)
    user_error(
        "{}: expected key heads that divide the query heads, and at most {} query heads each", name,
        paged_rows);
  if (p.page < 16 || p.page > 256 || (p.page & (p.page - 1)) != 0)
    user_error("{}: expected pages of 16, 32, 64, 128 or 256 rows", name);
  if (p.dtype != DType::bf16 && p.dtype != DType::f16)
    user_error("{}: on the GPU attention is in bf16 or f16, got {}", name, dtype_name(p.dtype));
  if (p.sequences > paged_max_sequences)
    user_error("{}: at most {} sequences a call", name, paged_max_sequences);
  if (p.o.row_stride % 8 != 0 || p.o.head_stride % 8 != 0 ||
      reinterpret_cast<uintptr_t>(p.o.data) % 16 != 0)
    user_error("{}: o must lie at multiples of 16 bytes, got strides {} and {}", name,
               p.o.row_stride, p.o.head_stride);
}

std::string schedule_text(const PagedSchedule& s) {
  return format(
      "constexpr weft::kernels::cuda::PagedSchedule s{{{}, {}, {}, {}, {}, {}, {}, {}, {}}};\n",
      s.head_dim, s.key_block, s.chunk, s.page_rows, s.stages, s.causal, s.windowed, s.capped,
      s.f16);
}

int group_of(const PagedAttention& p) {
  return p.q_heads / p.kv_heads;
}
int tile_queries(const PagedAttention& p) {
  return paged_rows / group_of(p);
}

// Pieces at most: every sequence may have a part of a chunk left over.
int64_t max_pieces(const PagedAttention& p) {
  const int64_t tiles = (p.max_q_len + tile_queries(p) - 1) / tile_queries(p);
  return (p.max_kv_rows / paged_schedule(p).chunk + p.sequences) * tiles * p.kv_heads;
}
int part_rows(const PagedAttention& p) {
  return std::min(tile_queries(p), p.max_q_len) * group_of(p);
}

TensorMap page_map(const PagedAttention& p, const ConstPages& x, int rows, const char* name) {
  TensorBoxes boxes;
  boxes.element = element_of(p.dtype);
  boxes.data = x.data;
  boxes.rank = 4;
  boxes.sizes = {p.head_dim, p.kv_heads, p.page, p.pages};
  boxes.strides = {1, x.head_stride, x.row_stride, x.page_stride};
  boxes.box = {64, 1, rows, 1};
  return weft::cuda::make_tensor_map(boxes, format("{} of {}", name, name_of(p)));
}
// All query heads that read one key head, of as many queries as fill a tile.
TensorMap query_map(const PagedAttention& p) {
  TensorBoxes boxes;
  boxes.element = element_of(p.dtype);
  boxes.data = p.q.data;
  boxes.rank = 4;
  boxes.sizes = {p.head_dim, p.q_heads, p.q_rows, 1};
  boxes.strides = {1, p.q.head_stride, p.q.row_stride, 8};
  boxes.box = {64, group_of(p), tile_queries(p), 1};
  return weft::cuda::make_tensor_map(boxes, "q of " + name_of(p));
}

PagedArguments arguments_of(const PagedAttention& p) {
  PagedArguments a;
  a.sequences = p.sequences, a.q_heads = p.q_heads, a.kv_heads = p.kv_heads;
  a.group = group_of(p), a.tile_queries = tile_queries(p);
  a.page = p.page, a.max_pages = p.max_pages;
  a.part_rows = part_rows(p);
  a.window = p.window;
  set_scales(p.scale, p.soft_cap, a.scale, a.scale_log2, a.cap_log2);
  a.q_begin = p.q_begin, a.kv_len = p.kv_len, a.page_table = p.page_table;
  const int64_t rows = max_pieces(p) * a.part_rows;
  a.parts = static_cast<float*>(p.scratch);
  a.states = a.parts + rows * p.head_dim;
  a.next_piece = reinterpret_cast<int*>(a.states + rows * 4);
  a.arrived = a.next_piece + 1;
  a.o = static_cast<unsigned short*>(p.o.data);
  a.o_row_stride = p.o.row_stride, a.o_head_stride = p.o.head_stride;
  a.lse = p.lse;
  return a;
}

}  // namespace

PagedSchedule paged_schedule(const PagedAttention& p) {
  PagedSchedule s;
  s.head_dim = p.head_dim;
  s.page_rows = std::min(p.page, s.key_block);
  if (p.head_dim == 64) s.stages = 6;
  s.windowed = p.window != 0, s.capped = p.soft_cap != 0, s.f16 = p.dtype == DType::f16;
  return s;
}

std::vector<PagedSchedule> shipped_paged_schedules() {
  std::vector<PagedSchedule> all;
  for (const AttentionShape& shape : attention_modes()) {
    if (!shape.causal) continue;
    PagedAttention p;
    p.head_dim = shape.head_dim, p.page = 16;
    p.window = shape.window, p.soft_cap = shape.soft_cap, p.dtype = shape.dtype;
    all.push_back(paged_schedule(p));
  }
  for (const int head_dim : {64, 128})
    for (const int page : {32, 64, 128}) {
      PagedAttention p;
      p.head_dim = head_dim, p.page = page;
      all.push_back(paged_schedule(p));
    }
  return all;
}

size_t paged_attention_scratch_bytes(const PagedAttention& p) {
  if (p.sequences == 0 || p.q_rows == 0) return 0;
  return size_t(max_pieces(p)) *
             (size_t(part_rows(p)) * size_t(p.head_dim + 4) * sizeof(float) + sizeof(int)) +
         sizeof(int);
}

weft::cuda::KernelSource paged_attention_source(const PagedSchedule& s) {
  weft::cuda::KernelSource source = kernel_source("attention_paged");
  source.headers.emplace_back("schedule", schedule_text(s));
  source.headers.emplace_back("products", forward_products(s.head_dim, s.key_block, s.f16));
  return source;
}

void paged_attention(CudaStream& stream, const PagedAttention& p) {
  if (p.sequences == 0 || p.q_rows == 0) return;
  check_supported(p);
  WEFT_CHECK(p.scratch != nullptr, "{} wants scratch", name_of(p));
  const PagedSchedule s = paged_schedule(p);
  PagedArguments arguments = arguments_of(p);
  TensorMap q = query_map(p);
  TensorMap k = page_map(p, p.k, s.page_rows, "k"), v = page_map(p, p.v, s.page_rows, "v");
  CudaDevice& device = stream.cuda_device();
  const CudaKernel& kernel = device.kernel("paged attention " + schedule_text(s), shared_bytes(s),
                                           [&] { return paged_attention_source(s); });
  stream.fill(reinterpret_cast<std::byte*>(arguments.next_piece), 0,
              size_t(max_pieces(p) + 1) * sizeof(int));
  void* values[] = {&q, &k, &v, &arguments};
  kernel.launch(stream, {unsigned(device.multiprocessors()), 1, 1, block_threads}, values);
}

}  // namespace weft::kernels::cuda
