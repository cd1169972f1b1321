#include "weft/engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "weft/base/error.h"
#include "weft/base/random.h"

namespace weft::engine {
namespace {

// Four at once, in the compilers' own vectors.
using Doubles [[gnu::vector_size(32)]] = double;
using Words [[gnu::vector_size(32)]] = int64_t;
constexpr size_t lanes = 4;

// e^x for x <= 0, within 2 units in the last place; 0 below -700. Of plain additions and products
// only, so every compiler and C library gives the same bits.
inline Doubles exp_of_negative(Doubles x) {
  constexpr double log2_e = 1.4426950408889634, rounder = 0x1.8p52;
  constexpr double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
  const Words in_range = x >= -700.0;
  const Doubles clamped = x >= -700.0 ? x : Doubles{};
  const Doubles shifted = clamped * log2_e + rounder, n = shifted - rounder;  // n: rounded
  const Doubles r = clamped - n * ln2_high - n * ln2_low;                     // |r| <= ln(2) / 2
  Doubles y{};  // Taylor's series: 1/13! down to 1/0!
  for (const double coefficient :
       {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
        1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2, 1.0, 1.0})
    y = y * r + coefficient;
  const Words two_to_n = (std::bit_cast<Words>(shifted) + 1023) << 52;
  y *= std::bit_cast<Doubles>(two_to_n);
  return std::bit_cast<Doubles>(std::bit_cast<Words>(y) & in_range);
}

// e^((x - max) / temperature) of every x.
void exp_all(std::span<const float> x, float max, double temperature, std::vector<double>& out) {
  out.resize(x.size());
  const double top = max;
  size_t i = 0;
  for (; i + lanes <= x.size(); i += lanes) {
    const Doubles d{x[i], x[i + 1], x[i + 2], x[i + 3]};
    const Doubles e = exp_of_negative((d - top) / temperature);
    for (size_t j = 0; j < lanes; ++j) out[i + j] = e[j];
  }
  for (; i < x.size(); ++i) out[i] = exp_of_negative(Doubles{(x[i] - top) / temperature})[0];
}

// ln(x) for x >= 1: 2 artanh((m - 1) / (m + 1)) of the mantissa, and its exponent.
double log_from_one(double x) {
  constexpr double ln2 = 0.6931471805599453, sqrt2 = 1.4142135623730951;
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  double exponent = double(int64_t(bits >> 52) - 1023);
  double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
  if (m > sqrt2) m *= 0.5, exponent += 1;
  const double s = (m - 1) / (m + 1), square = s * s;
  double y = 0;
  for (int odd = 23; odd >= 1; odd -= 2) y = y * square + 1.0 / odd;
  return exponent * ln2 + 2 * s * y;
}

// The first of the largest logits.
size_t checked_argmax(std::span<const float> logits) {
  WEFT_CHECK(!logits.empty());
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] < INFINITY))  // NaN too
      data_error(
          "the model's logit of token {} is {}, expected a finite number; its weights are damaged "
          "or its training has diverged, so take an earlier checkpoint",
          i, logits[i]);
    if (logits[i] > logits[best]) best = i;
  }
  if (logits[best] == -INFINITY)
    data_error("every logit is -infinity, expected at least one token that may follow");
  return best;
}

void expect_range(const char* name, double value, double least, double most) {
  if (!(value >= least && value <= most))
    user_error("{} must be from {} to {}, got {}", name, least, most, value);
}

}  // namespace

void SamplingOptions::validate() const {
  expect_range("temperature", temperature, 0, 100);
  if (top_k < 0) user_error("top-k must be 0 (off) or more, got {}", top_k);
  expect_range("top-p", top_p, 0, 1);
  expect_range("min-p", min_p, 0, 1);
  expect_range("repetition-penalty", repetition_penalty, 0.01, 100);
}

void Sampler::fill(std::span<const float> logits) {
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) candidates_[i] = {int32_t(i), logits[i], weights_[i]};
}

namespace {

// By the logit: different logits can have one weight.
constexpr auto more_probable = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
};
constexpr auto by_id = [](const auto& a, const auto& b) { return a.id < b.id; };

}  // namespace

void Sampler::keep_top_k(size_t k) {
  if (k == 0 || k >= candidates_.size()) return;
  const auto end = candidates_.begin() + std::ptrdiff_t(k);
  std::nth_element(candidates_.begin(), end, candidates_.end(), more_probable);
  candidates_.erase(end, candidates_.end());
  std::sort(candidates_.begin(), candidates_.end(), by_id);
}

// Takes the most probable from a heap until they reach p of the whole: seldom the whole is sorted.
void Sampler::keep_top_p(double p) {
  if (p >= 1) return;
  double total = 0, kept = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  const auto less_probable = [](const Candidate& a, const Candidate& b) {
    return more_probable(b, a);
  };
  std::make_heap(candidates_.begin(), candidates_.end(), less_probable);
  auto heap_end = candidates_.end();
  do {
    std::pop_heap(candidates_.begin(), heap_end, less_probable);
    kept += (--heap_end)->weight;
  } while (kept < p * total && heap_end != candidates_.begin());
  candidates_.erase(candidates_.begin(), heap_end);
  std::sort(candidates_.begin(), candidates_.end(), by_id);
}

// In order of ids, so that a filter which keeps everything changes nothing.
int32_t Sampler::draw(double uniform) {
  double total = 0, passed = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  int32_t last = 0;  // where rounding leaves nothing above the target
  for (const Candidate& c : candidates_) {
    if (c.weight == 0) continue;
    passed += c.weight;
    last = c.id;
    if (passed > uniform * total) break;
  }
  return last;
}

std::span<const float> Sampler::penalise(std::span<const float> logits, double penalty,
                                         std::span<const int32_t> seen) {
  if (penalty == 1 || seen.empty()) return logits;
  penalised_.assign(logits.begin(), logits.end());
  for (const int32_t token : seen) {
    if (size_t(token) >= logits.size()) continue;  // of the model, but not of its tokenizer
    const double logit = logits[size_t(token)];
    penalised_[size_t(token)] = float(logit > 0 ? logit / penalty : logit * penalty);
  }
  return penalised_;
}

int32_t Sampler::sample(std::span<const float> logits, const SamplingOptions& options,
                        uint64_t position, std::span<const int32_t> seen) {
  const std::span<const float> x = penalise(logits, options.repetition_penalty, seen);
  const size_t best = checked_argmax(x);
  if (options.temperature == 0) return int32_t(best);
  exp_all(x, x[best], options.temperature, weights_);
  fill(x);
  keep_top_k(size_t(options.top_k));
  keep_top_p(options.top_p);
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < options.min_p; });
  const Philox philox{random_key(options.seed, hash_path("sampler"))};
  const auto words = philox(position);
  return draw(uniform_double(words[0], words[1]));
}

double Sampler::log_of_total(std::span<const float> logits, float max) {
  exp_all(logits, max, 1, weights_);
  double total = 0;
  for (const double w : weights_) total += w;
  return log_from_one(total);
}

double Sampler::log_probability(std::span<const float> logits, int32_t token) {
  const float max = logits[checked_argmax(logits)];
  return double(logits[size_t(token)]) - double(max) - log_of_total(logits, max);
}

std::vector<TokenLogprob> Sampler::top_log_probabilities(std::span<const float> logits, size_t n) {
  const float max = logits[checked_argmax(logits)];
  const double log_total = log_of_total(logits, max);
  fill(logits);
  const auto end = candidates_.begin() + std::ptrdiff_t(std::min(n, candidates_.size()));
  std::partial_sort(candidates_.begin(), end, candidates_.end(), more_probable);
  std::vector<TokenLogprob> top;
  for (auto c = candidates_.begin(); c != end; ++c)
    top.push_back({c->id, double(c->logit) - double(max) - log_total});
  return top;
}

}  // namespace weft::engine
