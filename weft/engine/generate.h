// Text from a model: prompts in, streams of text and their tokens out.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/engine/runner.h"
#include "weft/engine/sampler.h"
#include "weft/text/tokenizer.h"

namespace weft::engine {

struct GenerateOptions {
  int64_t max_tokens = 128;        // most tokens generated for one prompt
  SamplingOptions sampling = {};   // prompt i takes the seed `seed` + i
  std::vector<int32_t> stop = {};  // tokens that end a text and are not part of it
};

// What one prompt became.
struct Generated {
  std::string text;              // without the prompt; what is not UTF-8 is U+FFFD
  std::vector<int32_t> tokens;   // without the prompt
  std::vector<double> logprobs;  // of each token: ln of its probability at temperature 1
  int64_t prompt_tokens = 0;
  // "stop": the stop token came. "length": max_tokens have been generated, or the sequence fills
  // the runner's context.
  std::string_view finish_reason;
};

// Where the time went. A step that computes any prompt's tokens counts as prefill with all it does.
struct Throughput {
  int64_t prefill_tokens = 0, decode_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0;
  double prefill_tokens_per_second() const;  // 0 where there were none
  double decode_tokens_per_second() const;
};

struct Generation {
  std::vector<Generated> texts;  // one for each prompt
  Throughput throughput;
};

// Called with each piece of text as soon as it is whole, and the index of its prompt.
using TextCallback = std::function<void(size_t prompt, std::string_view text)>;

// Continues all prompts together, each behind the tokenizer's start tokens, as many at once as the
// runner has slots. What a prompt becomes depends on the weights, the prompt, the options and its
// seed alone, not on the other prompts. Throws Error(user) for options out of range and for a
// prompt that is empty or does not fit into the context with one more token.
Generation generate(Runner& runner, const Tokenizer& tokenizer,
                    const std::vector<std::string>& prompts, const GenerateOptions& options,
                    const TextCallback& on_text = {});

}  // namespace weft::engine
