#include "weft/kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "weft/kernels/ref/rows.h"

namespace weft::kernels::ref {
namespace {

// logits[v] = x . w[v]; returns the largest.
template <class T>
double token_logits(const LinearCrossEntropy& p, const T* x, std::vector<double>& logits) {
  for (int64_t v = 0; v < p.vocab; ++v) {
    const T* w = static_cast<const T*>(p.w) + v * p.width;
    double sum = 0;
    for (int64_t i = 0; i < p.width; ++i) sum += wide(x[i]) * wide(w[i]);
    logits[size_t(v)] = sum;
  }
  return *std::max_element(logits.begin(), logits.end());
}

// dx = dlogits w for one token, dw += dlogits^T x.
template <class T>
void token_gradients(const LinearCrossEntropy& p, int64_t t, const std::vector<double>& dlogits,
                     std::vector<double>& dw) {
  const T* x = static_cast<const T*>(p.x) + t * p.width;
  std::vector<double> dx(static_cast<size_t>(p.width));
  for (int64_t v = 0; v < p.vocab; ++v)
    for (int64_t i = 0; i < p.width; ++i) {
      dx[size_t(i)] += dlogits[size_t(v)] * wide(static_cast<const T*>(p.w)[v * p.width + i]);
      dw[size_t(v * p.width + i)] += dlogits[size_t(v)] * wide(x[i]);
    }
  if (p.dx)
    for (int64_t i = 0; i < p.width; ++i)
      static_cast<T*>(p.dx)[t * p.width + i] = narrow<T>(dx[size_t(i)]);
}

}  // namespace

template <class T>
void linear_cross_entropy(const LinearCrossEntropy& p) {
  double loss = 0;
  int64_t bad = -1;
  std::vector<double> logits(static_cast<size_t>(p.vocab)),
      dw(static_cast<size_t>(p.vocab * p.width));
  for (int64_t t = 0; t < p.tokens; ++t) {
    const int64_t target = p.targets[t];
    const bool counts = target >= 0 && target < p.vocab;
    if (target >= p.vocab && bad < 0) bad = t;
    double nll = 0;
    if (counts) {
      const double largest = token_logits(p, static_cast<const T*>(p.x) + t * p.width, logits);
      const double weight = double(static_cast<const Stat<T>*>(p.weights)[t]),
                   logit = logits[size_t(target)];
      double sum = 0;
      for (double& v : logits) sum += v = std::exp(v - largest);
      nll = std::log(sum) + largest - logit;
      loss += weight * nll;
      for (double& v : logits) v *= weight / sum;
      logits[size_t(target)] -= weight;
    } else {
      std::fill(logits.begin(), logits.end(), 0.0);
    }
    if (p.nll) static_cast<Stat<T>*>(p.nll)[t] = Stat<T>(nll);
    if (p.dx || p.dw) token_gradients<T>(p, t, logits, dw);
  }
  *static_cast<Stat<T>*>(p.loss) = Stat<T>(loss);
  if (p.bad) *p.bad = int32_t(bad);
  if (p.dw)
    for (size_t i = 0; i < dw.size(); ++i) static_cast<Stat<T>*>(p.dw)[i] = Stat<T>(dw[i]);
}

template void linear_cross_entropy<double>(const LinearCrossEntropy&);
template void linear_cross_entropy<float>(const LinearCrossEntropy&);
template void linear_cross_entropy<bf16>(const LinearCrossEntropy&);

}  // namespace weft::kernels::ref
