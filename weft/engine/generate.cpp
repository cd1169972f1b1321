#include "weft/engine/generate.h"

#include <algorithm>
#include <chrono>
#include <deque>

#include "weft/engine/scheduler.h"

namespace weft::engine {
namespace {

double seconds_now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

double ratio(int64_t tokens, double seconds) {
  return seconds > 0 ? double(tokens) / seconds : 0;
}

void check_options(const Runner& runner, const Tokenizer& tokenizer,
                   const GenerateOptions& options) {
  options.sampling.validate();
  if (options.max_tokens < 1)
    user_error("the number of tokens to generate must be 1 or more, got {}", options.max_tokens);
  if (tokenizer.vocab_size() > runner.config().vocab)
    data_error(
        "the tokenizer has {} tokens, but the model only {}; take the tokenizer that it was "
        "trained with",
        tokenizer.vocab_size(), runner.config().vocab);
}

// A prompt on its way to a text.
struct Stream {
  explicit Stream(const Tokenizer& tokenizer) : decoder(tokenizer) {}
  Sequence sequence;  // its id is the stream's place
  StreamDecoder decoder;
  Generated result;
};

class Generator {
 public:
  Generator(Runner& runner, const Tokenizer& tokenizer, const GenerateOptions& options,
            const TextCallback& on_text)
      : runner_(runner),
        tokenizer_(tokenizer),
        options_(options),
        on_text_(on_text),
        scheduler_(int32_t(runner.options().slots), int32_t(runner.options().max_tokens)) {}

  // `name` is for the error.
  void add(const std::string& prompt, const std::string& name);
  // Computes the next tokens of some sequences; false when there are none.
  bool step();
  Generation finish();

 private:
  std::span<const float> compute(std::span<const Work> work);
  void choose(Stream& stream, std::span<const float> logits);
  void emit(Stream& stream, const std::string& text);
  void end(Stream& stream, std::string_view reason);

  Runner& runner_;
  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  const TextCallback& on_text_;
  Scheduler scheduler_;
  Sampler sampler_;
  std::deque<Stream> streams_;  // their addresses stay
  std::vector<Chunk> chunks_;
  std::vector<Stream*> ready_;  // whose logits the step gave, in order
  Throughput throughput_;
};

void Generator::add(const std::string& prompt, const std::string& name) {
  Stream& stream = streams_.emplace_back(tokenizer_);
  stream.sequence.id = int64_t(streams_.size()) - 1;
  stream.sequence.tokens = tokenizer_.start_tokens();
  const std::vector<int32_t> tokens = tokenizer_.encode(prompt);
  stream.sequence.tokens.insert(stream.sequence.tokens.end(), tokens.begin(), tokens.end());
  const int64_t n = stream.sequence.pending(), context = runner_.options().context;
  if (n == 0) user_error("{} is empty, expected a text to go on from", name);
  if (n >= context)
    user_error(
        "{} has {} tokens, but the model's context of {} has room for at most {} and one that is "
        "generated; shorten it",
        name, n, context, context - 1);
  stream.result.prompt_tokens = n;
  scheduler_.add(stream.sequence);
}

bool Generator::step() {
  const double start = seconds_now();
  const std::span<const Work> work = scheduler_.schedule();
  if (work.empty()) return false;
  int64_t prompt_tokens = 0, tokens = 0;
  ready_.clear();
  for (const Work& w : work) {
    Stream& stream = streams_[size_t(w.sequence->id)];
    if (stream.result.tokens.empty()) prompt_tokens += w.tokens;
    if (w.reaches_end()) ready_.push_back(&stream);
    tokens += w.tokens;
  }
  const std::span<const float> logits = compute(work);
  scheduler_.commit();
  const size_t vocab = size_t(runner_.config().vocab), usable = size_t(tokenizer_.vocab_size());
  for (size_t i = 0; i < ready_.size(); ++i) choose(*ready_[i], logits.subspan(i * vocab, usable));
  const double seconds = seconds_now() - start;
  if (prompt_tokens > 0) {
    throughput_.prefill_tokens += prompt_tokens;
    throughput_.prefill_seconds += seconds;
  } else {
    throughput_.decode_tokens += tokens;
    throughput_.decode_seconds += seconds;
  }
  return true;
}

std::span<const float> Generator::compute(std::span<const Work> work) {
  chunks_.clear();
  for (const Work& w : work) {
    const Sequence& s = *w.sequence;
    const std::span<const int32_t> tokens(s.tokens);
    chunks_.push_back({s.slot, s.computed, tokens.subspan(size_t(s.computed), size_t(w.tokens)),
                       w.reaches_end() ? 1 : 0});
  }
  return runner_.run(chunks_);
}

void Generator::choose(Stream& stream, std::span<const float> logits) {
  Sequence& sequence = stream.sequence;
  SamplingOptions sampling = options_.sampling;
  sampling.seed += uint64_t(sequence.id);
  const int32_t token = sampler_.sample(logits, sampling, sequence.tokens.size());
  if (std::ranges::count(options_.stop, token)) return end(stream, "stop");
  sequence.tokens.push_back(token);
  stream.result.tokens.push_back(token);
  stream.result.logprobs.push_back(sampler_.log_probability(logits, token));
  emit(stream, stream.decoder.push(token));
  const bool full = int64_t(sequence.tokens.size()) == runner_.options().context;
  if (full || int64_t(stream.result.tokens.size()) == options_.max_tokens) end(stream, "length");
}

void Generator::emit(Stream& stream, const std::string& text) {
  if (text.empty()) return;
  stream.result.text += text;
  if (on_text_) on_text_(size_t(stream.sequence.id), text);
}

void Generator::end(Stream& stream, std::string_view reason) {
  emit(stream, stream.decoder.finish());
  stream.result.finish_reason = reason;
  scheduler_.finish(stream.sequence);
}

Generation Generator::finish() {
  Generation generation;
  for (Stream& stream : streams_) generation.texts.push_back(std::move(stream.result));
  generation.throughput = throughput_;
  return generation;
}

}  // namespace

double Throughput::prefill_tokens_per_second() const {
  return ratio(prefill_tokens, prefill_seconds);
}
double Throughput::decode_tokens_per_second() const {
  return ratio(decode_tokens, decode_seconds);
}

Generation generate(Runner& runner, const Tokenizer& tokenizer,
                    const std::vector<std::string>& prompts, const GenerateOptions& options,
                    const TextCallback& on_text) {
  check_options(runner, tokenizer, options);
  Generator generator(runner, tokenizer, options, on_text);
  for (size_t i = 0; i < prompts.size(); ++i)
    generator.add(prompts[i], prompts.size() == 1 ? "the prompt" : format("prompt {}", i + 1));
  while (generator.step()) {
  }
  return generator.finish();
}

}  // namespace weft::engine
