// The next token from logits. Plain CPU code in doubles with its own exp and log, so that a choice
// is the same on every machine.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace weft::engine {

struct SamplingOptions {
  double temperature = 1;  // 0: the most probable token, whatever follows here
  int64_t top_k = 0;       // keep the k most probable; 0: all
  double top_p = 1;        // keep the fewest whose probabilities reach p (Holtzman et al., 2020)
  double min_p = 0;        // keep those at least this part as probable as the first
  // Divides the positive logits of tokens that have been seen and multiplies the others (Keskar et
  // al., 2019); 1: nothing happens. Before all else, also at temperature 0.
  double repetition_penalty = 1;
  uint64_t seed = 0;

  // Throws Error(user) naming the option, what it may be and what it is.
  void validate() const;
};

struct TokenLogprob {
  int32_t token;
  double logprob;
  bool operator==(const TokenLogprob&) const = default;
};

// Only holds memory from one call to the next.
class Sampler {
 public:
  // A pure function of its arguments: the penalty of the `seen` tokens, the temperature, then
  // top-k, top-p and min-p, each renormalised; of equally probable tokens the lower id comes first.
  // The random number is Philox's for (seed, position). Throws Error(data) when a logit is NaN or
  // infinity, or none is above -infinity (which means: never this token).
  int32_t sample(std::span<const float> logits, const SamplingOptions& options, uint64_t position,
                 std::span<const int32_t> seen = {});

  // The natural logarithm of a token's probability under softmax(logits). Throws as sample().
  double log_probability(std::span<const float> logits, int32_t token);
  // The n most probable tokens under softmax(logits), from the first down. Throws as sample().
  std::vector<TokenLogprob> top_log_probabilities(std::span<const float> logits, size_t n);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double weight;  // exp((logit - max) / temperature)
  };
  std::span<const float> penalise(std::span<const float> logits, double penalty,
                                  std::span<const int32_t> seen);
  // Takes exp_all's weights; returns ln of their sum.
  double log_of_total(std::span<const float> logits, float max);
  // All tokens in order of their ids.
  void fill(std::span<const float> logits);
  void keep_top_k(size_t k);
  void keep_top_p(double p);
  int32_t draw(double uniform);

  std::vector<float> penalised_;
  std::vector<double> weights_;
  std::vector<Candidate> candidates_;
};

}  // namespace weft::engine
