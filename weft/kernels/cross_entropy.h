// The loss of a language model's last layer and its gradients, without the logits of the whole
// batch ever existing: they are made for a part of the vocabulary and a chunk of tokens at a time,
// small enough for a cache; once for the sums of the softmax and, where there is more than one
// part, once more for the gradients. Recomputing costs a third more arithmetic; writing all logits
// to memory and reading them back cost more (Wijmans et al., Cut Your Losses, arXiv 2411.09009).
#pragma once
#include <cstddef>

#include "weft/kernels/kernel.h"

namespace weft::kernels {

// logits = x w^T (summed in accumulator(dtype), not rounded further); nll[t] = log(sum of
// exp(logits[t])) - logits[t][targets[t]]; loss = sum over t, ascending and in f64, of weights[t]
// nll[t]. dlogits = weights (softmax(logits) - onehot(targets)), rounded to dtype; dx = dlogits w;
// dw = dlogits^T x. These are the gradients of `loss`; a factor on it goes into `weights`. A token
// with a negative target counts nothing. nll of a token depends on no other token.
struct LinearCrossEntropy {
  int64_t tokens = 0, width = 0, vocab = 0;
  DType dtype = DType::bf16;         // of x, w and dx: bf16 or f32; f64 through ref
  const void* x = nullptr;           // [tokens, width]
  const void* w = nullptr;           // [vocab, width]
  const int32_t* targets = nullptr;  // [tokens], below vocab; negative: ignored
  const void* weights = nullptr;     // [tokens] of accumulator(dtype), for instance 1 / tokens
  void* loss = nullptr;              // scalar of accumulator(dtype)
  void* nll = nullptr;  // [tokens] of accumulator(dtype), 0 where ignored; or null: not wanted
  void* dx = nullptr;   // [tokens, width], or null: not wanted
  void* dw = nullptr;   // [vocab, width] of accumulator(dtype), overwritten; or null: not wanted
  int32_t* bad =
      nullptr;  // the first token whose target is not below vocab (it is ignored), or -1; or null
  void* scratch = nullptr;  // linear_cross_entropy_scratch_bytes; ref needs none
};

// Tokens and entries of the vocabulary whose logits exist at one time: constants of the weight's
// shape, since the sums of the softmax go from part to part, and dw from chunk to chunk.
constexpr int64_t cross_entropy_chunk = 2048;
constexpr int64_t cross_entropy_part(int64_t vocab) {
  return vocab <= 2048 ? vocab : 1024;
}

// For a stream of this many threads; depends on the sizes, the dtype and which of nll, dx and dw
// are wanted.
size_t linear_cross_entropy_scratch_bytes(const LinearCrossEntropy& params, int threads);

// What goes on between the products, on the logits of entries [begin, end) of the vocabulary. First
// the statistics, part after part in ascending order: the largest logit so far, the sum of
// exp(logit - largest) and the target's logit; the last part gives nll. Then the gradient: row r of
// logits is overwritten from its first byte by dlogits in `dtype`.
struct CrossEntropyRows {
  enum Pass { statistics, gradient };
  Pass pass = statistics;
  int64_t rows = 0, vocab = 0, begin = 0, end = 0, row_stride = 0;  // row_stride in floats
  DType dtype = DType::bf16;                                        // of dlogits: bf16 or f32
  float* logits = nullptr;                                          // [rows, row_stride]
  const int32_t* targets = nullptr;                                 // outside [0, vocab): ignored
  const float* weights = nullptr;                                   // [rows], as all that follow
  float *largest = nullptr, *sum = nullptr, *target_logit = nullptr;
  float* nll = nullptr;
};
WEFT_CPU_KERNEL(cross_entropy_rows, CrossEntropyRows)

namespace cpu {
void linear_cross_entropy(CpuStream& stream, const LinearCrossEntropy& params);
}  // namespace cpu

namespace ref {
template <class T>
void linear_cross_entropy(const LinearCrossEntropy& params);
}  // namespace ref

}  // namespace weft::kernels
