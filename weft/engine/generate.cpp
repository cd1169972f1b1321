#include "weft/engine/generate.h"

namespace weft::engine {

Generation generate(Runner& runner, const Tokenizer& tokenizer,
                    const std::vector<std::string>& prompts, const GenerateOptions& options,
                    const TextCallback& on_text) {
  options.validate();
  Engine engine(runner, tokenizer);
  std::vector<int64_t> ids;
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<int32_t> prompt = tokenizer.start_tokens();
    const std::vector<int32_t> tokens = tokenizer.encode(prompts[i]);
    prompt.insert(prompt.end(), tokens.begin(), tokens.end());
    GenerateOptions own = options;
    own.sampling.seed += i;
    Engine::TextCallback own_text;
    if (on_text) own_text = [&on_text, i](std::string_view text) { on_text(i, text); };
    ids.push_back(engine.add(std::move(prompt), std::move(own), std::move(own_text),
                             prompts.size() == 1 ? "the prompt" : format("prompt {}", i + 1)));
  }
  while (engine.step()) {
  }
  Generation generation;
  for (const int64_t id : ids) generation.texts.push_back(engine.take(id));
  generation.throughput = engine.throughput();
  return generation;
}

}  // namespace weft::engine
