#include "weft/engine/engine.h"

#include <algorithm>
#include <chrono>

namespace weft::engine {
namespace {

double seconds_now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

double ratio(int64_t tokens, double seconds) {
  return seconds > 0 ? double(tokens) / seconds : 0;
}

}  // namespace

void GenerateOptions::validate() const {
  sampling.validate();
  if (max_tokens < 1)
    user_error("the number of tokens to generate must be 1 or more, got {}", max_tokens);
  if (top_logprobs < 0)
    user_error("the number of alternatives told for a token must be 0 or more, got {}",
               top_logprobs);
  for (const std::string& text : stop_strings)
    if (text.empty()) user_error("a stop string is empty, expected a text that ends an answer");
}

double Throughput::prefill_tokens_per_second() const {
  return ratio(prefill_tokens, prefill_seconds);
}
double Throughput::decode_tokens_per_second() const {
  return ratio(decode_tokens, decode_seconds);
}

Engine::Engine(Runner& runner, const Tokenizer& tokenizer)
    : runner_(runner),
      tokenizer_(tokenizer),
      scheduler_(int32_t(runner.options().slots), int32_t(runner.options().max_tokens)) {
  if (tokenizer.vocab_size() > runner.config().vocab)
    data_error(
        "the tokenizer has {} tokens, but the model only {}; take the tokenizer that it was "
        "trained with",
        tokenizer.vocab_size(), runner.config().vocab);
}

int64_t Engine::add(std::vector<int32_t> prompt, GenerateOptions options, TextCallback on_text,
                    const std::string& name) {
  options.validate();
  const int64_t n = int64_t(prompt.size()), context = runner_.options().context;
  if (n == 0) user_error("{} is empty, expected a text to go on from", name);
  if (n >= context)
    user_error(
        "{} has {} tokens, but the model's context of {} has room for at most {} and one that is "
        "generated; shorten it",
        name, n, context, context - 1);
  const int64_t id = added_++;
  Stream made(tokenizer_, std::move(options), std::move(on_text));
  Stream& stream = streams_.emplace(id, std::move(made)).first->second;
  stream.sequence.id = id;
  stream.sequence.tokens = std::move(prompt);
  stream.result.prompt_tokens = n;
  scheduler_.add(stream.sequence);
  return id;
}

bool Engine::step() {
  const double start = seconds_now();
  const std::span<const Work> work = scheduler_.schedule();
  if (work.empty()) return false;
  const std::span<const float> logits = run(work);
  commit(work, logits);
  note(work, seconds_now() - start);
  return true;
}

std::span<const float> Engine::run(std::span<const Work> work) {
  chunks_.clear();
  for (const Work& w : work) {
    const Sequence& s = *w.sequence;
    const std::span<const int32_t> tokens(s.tokens);
    chunks_.push_back({s.slot, s.computed, tokens.subspan(size_t(s.computed), size_t(w.tokens)),
                       w.reaches_end() ? 1 : 0});
  }
  return runner_.run(chunks_);
}

void Engine::commit(std::span<const Work> work, std::span<const float> logits) {
  ready_.clear();
  for (const Work& w : work)
    if (w.reaches_end()) ready_.push_back(&streams_.at(w.sequence->id));
  scheduler_.commit();
  const size_t vocab = size_t(runner_.config().vocab), usable = size_t(tokenizer_.vocab_size());
  for (size_t i = 0; i < ready_.size(); ++i) choose(*ready_[i], logits.subspan(i * vocab, usable));
}

void Engine::choose(Stream& stream, std::span<const float> logits) {
  Sequence& sequence = stream.sequence;
  const GenerateOptions& options = stream.options;
  const int32_t token =
      sampler_.sample(logits, options.sampling, sequence.tokens.size(), sequence.tokens);
  if (std::ranges::count(options.stop, token)) return end(stream, "stop");
  sequence.tokens.push_back(token);
  stream.result.tokens.push_back(token);
  stream.result.logprobs.push_back(sampler_.log_probability(logits, token));
  if (options.top_logprobs > 0)
    stream.result.top_logprobs.push_back(
        sampler_.top_log_probabilities(logits, size_t(options.top_logprobs)));
  emit(stream, stream.stop.push(stream.decoder.push(token)));
  if (stream.stop.stopped()) return end(stream, "stop");
  const bool full = int64_t(sequence.tokens.size()) == runner_.options().context;
  if (full || int64_t(stream.result.tokens.size()) == options.max_tokens) end(stream, "length");
}

void Engine::emit(Stream& stream, const std::string& text) {
  if (text.empty()) return;
  stream.result.text += text;
  if (stream.on_text) stream.on_text(text);
}

void Engine::end(Stream& stream, std::string_view reason) {
  emit(stream, stream.stop.push(stream.decoder.finish()));
  emit(stream, stream.stop.finish());
  stream.result.reused_tokens = stream.sequence.reused;
  stream.result.finish_reason = reason;
  scheduler_.finish(stream.sequence);
}

// After commit().
void Engine::note(std::span<const Work> work, double seconds) {
  int64_t prompt_tokens = 0, tokens = 0;
  for (const Work& w : work) {
    const int64_t before = w.sequence->computed - w.tokens;
    if (before < streams_.at(w.sequence->id).result.prompt_tokens) prompt_tokens += w.tokens;
    tokens += w.tokens;
  }
  if (prompt_tokens > 0) {
    throughput_.prefill_tokens += prompt_tokens;
    throughput_.prefill_seconds += seconds;
  } else {
    throughput_.decode_tokens += tokens;
    throughput_.decode_seconds += seconds;
  }
}

void Engine::cancel(int64_t id) {
  Stream& stream = streams_.at(id);
  if (stream.result.finish_reason.empty()) end(stream, "cancelled");
}

Generated Engine::take(int64_t id) {
  const auto found = streams_.find(id);
  WEFT_CHECK(found != streams_.end() && !found->second.result.finish_reason.empty(),
             "sequence {} has not ended", id);
  Generated result = std::move(found->second.result);
  streams_.erase(found);
  return result;
}

}  // namespace weft::engine
