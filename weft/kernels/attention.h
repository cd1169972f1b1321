// Softmax attention, forward and backward: one kernel for training, prefill and decode. Blocked as
// in FlashAttention (Dao et al., arXiv:2205.14135): scores exist for one block of keys at a time.
//
// Numbers. Keys are taken in blocks of attention_key_block, counted from the segment's first key
// and in ascending order; everything a query row gets depends on its own scores only. So its bits
// are the same alone, in any batch, in one prefill or several, in decode and in training. That goes
// for the maximum too: the first block in which a row sees a key sets what is subtracted from its
// scores, and a block sets it anew only where a score would exceed it by more than a factor of 2^8.
#pragma once
#include "weft/kernels/kernel.h"

namespace weft::kernels {

// Rows that belong together: a document of a training batch, or a sequence and its cache. The
// segment's query i stands at position kv_len - q_len + i; its key j at position j.
struct AttentionSegment {
  int32_t q_begin, q_len, kv_begin, kv_len;
};

// Element i of head h of row r is data[r * row_stride + h * head_stride + i]. Rows and heads of one
// tensor do not overlap; q, k and v may be interleaved in one array.
struct ConstHeadRows {
  const void* data = nullptr;
  int64_t row_stride = 0, head_stride = 0;  // in elements
};
struct HeadRows {
  void* data = nullptr;
  int64_t row_stride = 0, head_stride = 0;  // in elements
};

constexpr int attention_max_head_dim = 256;

// Keys of one block. Part of what the numbers mean: frozen for each head size.
constexpr int attention_key_block(int /*head_dim*/) {
  return 64;
}

// What both directions need to know. Query head h reads key and value head h / (q_heads /
// kv_heads).
struct AttentionShape {
  int64_t q_rows = 0, kv_rows = 0;
  int32_t q_heads = 0, kv_heads = 0;
  int32_t head_dim = 0;  // 1 to attention_max_head_dim
  // No segment has more keys (or, for the backward pass, queries); 0: kv_rows (q_rows). Scratch is
  // sized by them, so a plan gives the context length here.
  int64_t max_kv_len = 0, max_q_len = 0;
  // In host memory. Query ranges ascend and do not overlap; segments of no queries are skipped.
  // For the backward pass key ranges ascend and do not overlap either.
  const AttentionSegment* segments = nullptr;
  int64_t segment_count = 0;
  bool causal = true;         // a query sees the keys up to its own position
  int32_t window = 0;         // not 0: only keys less than `window` positions behind its own
  float scale = 0;            // of q k; positive
  float soft_cap = 0;         // not 0, positive: scores become soft_cap tanh(score / soft_cap)
  DType dtype = DType::bf16;  // of q, k, v, o and their gradients: bf16, f32; f16 and f64 by ref
};

// o = softmax(scale q k) v. A row in no segment, or that sees no key: o = 0, lse = -infinity.
struct AttentionForward {
  AttentionShape shape;
  ConstHeadRows q, k, v;    // q [q_rows, q_heads, head_dim]; k, v [kv_rows, kv_heads, head_dim]
  HeadRows o;               // [q_rows, q_heads, head_dim]
  float* lse = nullptr;     // [q_rows, q_heads]: ln of the sum of exp(scale q k), or null
  void* scratch = nullptr;  // attention_forward_scratch_bytes, aligned to 64; ref needs none
};

// dq, dk and dv are overwritten; dk and dv are sums over the query heads of a group in ascending
// order, in f32, rounded once. Rows in no segment become 0.
struct AttentionBackward {
  AttentionShape shape;
  ConstHeadRows q, k, v, o, d_o;  // as above; d_o is the gradient of o
  const float* lse = nullptr;     // [q_rows, q_heads], as the forward pass wrote it
  HeadRows dq, dk, dv;
  void* scratch = nullptr;  // attention_backward_scratch_bytes, aligned to 64; ref needs none
};

// Linear in the lengths and in the threads; independent of the segments' contents and of the
// instruction set.
size_t attention_forward_scratch_bytes(const AttentionShape& shape, int threads);
size_t attention_backward_scratch_bytes(const AttentionShape& shape, int threads);

WEFT_CPU_KERNEL(attention_forward, AttentionForward)
WEFT_CPU_KERNEL(attention_backward, AttentionBackward)

namespace ref {
// Sums in double; T double, float or bf16 stands for shape.dtype. The backward pass computes its
// own softmax and does not read o and lse.
template <class T>
void attention_forward(const AttentionForward& params);
template <class T>
void attention_backward(const AttentionBackward& params);
}  // namespace ref

}  // namespace weft::kernels
