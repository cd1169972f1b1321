#include "weft/kernels/cross_entropy.h"

#include "weft/kernels/cpu/softmax_row.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

float first_lane(F32x16 v) {
  float t;
  v.store(&t, 1);
  return t;
}

// weight softmax over the row from its exponentials, then the target's element with 1 taken off.
// dlogits begin where the exponentials do: what is written over has been read.
template <class T>
void write_gradient(const float* e, T* dlogits, int64_t vocab, int64_t target, float weight,
                    float inverse_sum) {
  const F32x16 inverse = inverse_sum, scale = weight;
  const F32x16 at_target = (e[target] * inverse - F32x16(1.0f)) * scale;
  each_step(vocab, [&](int64_t i, auto k)
                       WEFT_INLINE { store(load(e + i, k) * inverse * scale, dlogits + i, k); });
  at_target.store(dlogits + target, 1);
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
  const float largest = row_max(logits, p.vocab), target_logit = logits[target];
  const float sum = p.gradient ? row_sum_exp<true>(logits, p.vocab, largest, logits)
                               : row_sum_exp<false>(logits, p.vocab, largest);
  p.nll[r] = first_lane(log(F32x16(sum))) + (largest - target_logit);
  if (p.gradient) write_gradient(logits, dlogits, p.vocab, target, p.weights[r], 1.0f / sum);
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
