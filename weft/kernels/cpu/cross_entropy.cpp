#include "weft/kernels/cross_entropy.h"

#include "weft/kernels/cpu/softmax_row.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

float first_lane(F32x16 v) {
  float t;
  v.store(&t, 1);
  return t;
}

constexpr float lowest = std::numeric_limits<float>::lowest();  // -inf less it is -inf, not NaN

bool ignored(const CrossEntropyRows& p, int64_t r) {
  return p.targets[r] < 0 || p.targets[r] >= p.vocab;
}

// The sum so far is carried over to the new largest logit.
void statistics_row(const CrossEntropyRows& p, int64_t r) {
  const float* logits = p.logits + r * p.row_stride;
  const int64_t target = p.targets[r];
  if (ignored(p, r)) {
    p.nll[r] = 0;
    return;
  }
  const bool first = p.begin == 0;
  const float before = first ? -infinity : p.largest[r], here = row_max(logits, p.end - p.begin);
  const float largest = before > here ? before : here, base = largest > lowest ? largest : lowest;
  const float carried = first ? 0 : p.sum[r] * first_lane(exp(F32x16(before - base)));
  p.largest[r] = base;
  p.sum[r] = carried + row_sum_exp<false>(logits, p.end - p.begin, base);
  if (target >= p.begin && target < p.end) p.target_logit[r] = logits[target - p.begin];
  if (p.end == p.vocab) p.nll[r] = first_lane(log(F32x16(p.sum[r]))) + (base - p.target_logit[r]);
}

// weight softmax over the row, 1 taken off at the target. dlogits begin where the logits do: what
// is written over has been read.
template <class T>
void gradient_row(const CrossEntropyRows& p, int64_t r) {
  const float* logits = p.logits + r * p.row_stride;
  T* dlogits = reinterpret_cast<T*>(p.logits + r * p.row_stride);
  const int64_t target = p.targets[r] - p.begin, count = p.end - p.begin;
  if (ignored(p, r)) {
    std::memset(static_cast<void*>(dlogits), 0, size_t(count) * sizeof(T));
    return;
  }
  const F32x16 base = p.largest[r], inverse = 1.0f / p.sum[r], scale = p.weights[r];
  const auto softmax = [&](F32x16 logit)
                           WEFT_INLINE { return exp_negative<T>(base - logit) * inverse; };
  each_step(count, [&](int64_t i, auto k) WEFT_INLINE {
    store(softmax(load(logits + i, k)) * scale, dlogits + i, k);
  });
  if (target >= 0 && target < count) {
    const F32x16 here = (softmax(p.target_logit[r]) - F32x16(1.0f)) * scale;
    here.store(dlogits + target, 1);
  }
}

}  // namespace

void cross_entropy_rows(CpuStream& stream, const CrossEntropyRows& p) {
  stream.parallel_for(p.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      if (p.pass == CrossEntropyRows::statistics)
        statistics_row(p, r);
      else if (p.dtype == DType::bf16)
        gradient_row<bf16>(p, r);
      else
        gradient_row<float>(p, r);
    }
  });
}

}  // namespace weft::kernels::cpu::WEFT_ISA
