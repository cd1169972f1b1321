// Text from a model in one call: prompts in, their continuations out.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/engine/engine.h"

namespace weft::engine {

struct Generation {
  std::vector<Generated> texts;  // one for each prompt
  Throughput throughput;
};

// Called with each piece of text as soon as it is whole, and the index of its prompt.
using TextCallback = std::function<void(size_t prompt, std::string_view text)>;

// Continues all prompts together, each behind the tokenizer's start tokens, as many at once as the
// runner has slots; prompt i takes the seed `seed` + i. What a prompt becomes depends on the
// weights, the prompt, the options and its seed alone, not on the other prompts. Throws as
// Engine::add().
Generation generate(Runner& runner, const Tokenizer& tokenizer,
                    const std::vector<std::string>& prompts, const GenerateOptions& options,
                    const TextCallback& on_text = {});

}  // namespace weft::engine
