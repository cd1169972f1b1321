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
  uint64_t seed = 0;

  // Throws Error(user) naming the option, what it may be and what it is.
  void validate() const;
};

// Only holds memory from one call to the next.
class Sampler {
 public:
  // A pure function of its arguments: the temperature first, then top-k, top-p and min-p, each
  // renormalised; of equally probable tokens the lower id comes first. The random number is
  // Philox's for (seed, position). Throws Error(data) when a logit is NaN or infinity, or none is
  // above -infinity (which means: never this token).
  int32_t sample(std::span<const float> logits, const SamplingOptions& options, uint64_t position);

  // The natural logarithm of a token's probability under softmax(logits). Throws as sample().
  double log_probability(std::span<const float> logits, int32_t token);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double weight;  // exp((logit - max) / temperature)
  };
  // All tokens in order of their ids.
  void fill(std::span<const float> logits);
  void keep_top_k(size_t k);
  void keep_top_p(double p);
  int32_t draw(double uniform);

  std::vector<double> weights_;
  std::vector<Candidate> candidates_;
};

}  // namespace weft::engine
