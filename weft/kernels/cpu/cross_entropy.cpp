#include "weft/kernels/cross_entropy.h"

#include "weft/kernels/cpu/softmax_row.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

// The row in terms of which its gradient is written.
struct Row {
  float largest, inverse_sum, target_logit;
};

float first_lane(F32x16 v) {
  float t;
  v.store(&t, 1);
  return t;
}

// weight softmax over the row, then the target's element with 1 taken off. dlogits may begin where
// logits do: no element is written before it, and those written over, have been read.
template <class T>
void write_gradient(const float* logits, T* dlogits, int64_t vocab, int64_t target, float weight,
                    Row row) {
  const auto softmax = [&](F32x16 x) WEFT_INLINE {
    return exp(x - F32x16(row.largest)) * F32x16(row.inverse_sum);
  };
  each_step(vocab, [&](int64_t i, auto k) WEFT_INLINE {
    store(softmax(load(logits + i, k)) * F32x16(weight), dlogits + i, k);
  });
  const F32x16 at_target = softmax(F32x16(row.target_logit)) - F32x16(1.0f);
  (at_target * F32x16(weight)).store(dlogits + target, 1);
}

template <class T>
void one_row(const CrossEntropyRows& p, int64_t r) {
  float* logits = p.logits + r * p.row_stride;
  T* dlogits = reinterpret_cast<T*>(logits);
  const int64_t target = p.targets[r];
  if (target < 0 || target >= p.vocab) {
    p.nll[r] = 0;
    if (p.gradient) std::memset(static_cast<void*>(dlogits), 0, size_t(p.vocab) * sizeof(T));
    return;
  }
  Row row;
  row.largest = row_max(logits, p.vocab);
  const float sum = row_sum_exp(logits, p.vocab, row.largest);
  row.inverse_sum = 1.0f / sum, row.target_logit = logits[target];
  p.nll[r] = first_lane(log(F32x16(sum))) + (row.largest - row.target_logit);
  if (p.gradient) write_gradient(logits, dlogits, p.vocab, target, p.weights[r], row);
}

}  // namespace

void cross_entropy_rows(CpuStream& stream, const CrossEntropyRows& p) {
  stream.parallel_for(p.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      if (p.dtype == DType::bf16)
        one_row<bf16>(p, r);
      else
        one_row<float>(p, r);
    }
  });
}

}  // namespace weft::kernels::cpu::WEFT_ISA
