// Softmax attention over a paged cache of keys and values on Hopper GPUs: decode, and any number of
// queries a sequence (best up to 64 / query heads a key head; prefill of long prompts is faster
// through attention_forward). Causal; head sizes 64 and 128, bf16 or f16, sliding windows, soft
// caps, grouped query heads.
//
// Numbers. A row's o and lse have the bits that attention_forward gives it with the sequence's keys
// in one piece: keys go in the same blocks and chunks, from the first on. Chunks of a sequence are
// computed apart and combined in ascending order.
#pragma once
#include "weft/device/cuda/cuda_device.h"
#include "weft/kernels/attention.h"
#include "weft/kernels/cuda/attention_paged_tiles.h"

namespace weft::kernels::cuda {

// Element i of head h of row r of a page is data[page * page_stride + r * row_stride + h *
// head_stride + i].
struct ConstPages {
  const void* data = nullptr;
  int64_t page_stride = 0, row_stride = 0, head_stride = 0;  // in elements
};

// All pointers are device pointers: the next step's lengths and tables can be written by a kernel,
// and a captured graph serves them all. What is host memory here are bounds.
struct PagedAttention {
  int32_t sequences = 0;  // at most paged_max_sequences
  int32_t q_heads = 0, kv_heads = 0, head_dim = 0;
  int32_t page = 16;        // rows of a page: 16, 32, 64, 128 or 256
  int32_t pages = 0;        // of the cache
  int32_t max_pages = 0;    // of a row of page_table
  int64_t q_rows = 0;       // rows of q
  int32_t max_q_len = 1;    // of a sequence, at most
  int64_t max_kv_rows = 0;  // of all sequences together, at most
  int32_t window = 0;       // as AttentionShape's, with soft_cap and dtype
  float scale = 0;          // of q k; positive
  float soft_cap = 0;
  DType dtype = DType::bf16;            // of q, k, v and o: bf16 or f16
  ConstHeadRows q;                      // [q_rows, q_heads, head_dim]
  ConstPages k, v;                      // [pages, page, kv_heads, head_dim]
  const int32_t* q_begin = nullptr;     // [sequences + 1]: first row of each; the last ends them
  const int32_t* kv_len = nullptr;      // [sequences]: keys, those of its queries among them
  const int32_t* page_table = nullptr;  // [sequences, max_pages]
  HeadRows o;                           // [q_rows, q_heads, head_dim]
  float* lse = nullptr;                 // [q_rows, q_heads], or null
  void* scratch = nullptr;              // paged_attention_scratch_bytes, aligned to 64
};

PagedSchedule paged_schedule(const PagedAttention& params);
size_t paged_attention_scratch_bytes(const PagedAttention& params);

void paged_attention(CudaStream& stream, const PagedAttention& params);

weft::cuda::KernelSource paged_attention_source(const PagedSchedule& schedule);
// Those of attention_modes(), and of all sizes of pages.
std::vector<PagedSchedule> shipped_paged_schedules();

}  // namespace weft::kernels::cuda
