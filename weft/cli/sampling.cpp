#include "weft/cli/sampling.h"

namespace weft::cli {

void add_sampling(CLI::App& command, engine::GenerateOptions& options) {
  engine::SamplingOptions& s = options.sampling;
  const auto add = [&](const char* flag, auto& value, const char* help) {
    command.add_option(flag, value, help)->capture_default_str();
  };
  add("--max-tokens", options.max_tokens, "most tokens to write");
  add("--temperature", s.temperature, "0: always the most probable token");
  add("--top-k", s.top_k, "choose among the k most probable; 0: all");
  add("--top-p", s.top_p, "choose among the most probable that make up p");
  add("--min-p", s.min_p, "leave out what is less probable than p times the best");
  add("--repetition-penalty", s.repetition_penalty,
      "above 1: tokens that have occurred become less probable");
  add("--seed", s.seed, "the same seed writes the same text");
  command
      .add_option("--stop", options.stop_strings,
                  "end before this text; may be given several times")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void take_defaults(const CLI::App& command, const models::GenerationConfig& config,
                   engine::GenerateOptions& options) {
  const auto take = [&](const char* flag, const auto& from, auto& to) {
    if (from && command.count(flag) == 0) to = *from;
  };
  take("--temperature", config.temperature, options.sampling.temperature);
  take("--top-k", config.top_k, options.sampling.top_k);
  take("--top-p", config.top_p, options.sampling.top_p);
  take("--min-p", config.min_p, options.sampling.min_p);
  take("--repetition-penalty", config.repetition_penalty, options.sampling.repetition_penalty);
  options.stop = config.stop;
}

}  // namespace weft::cli
