// The generation loop: sequences of tokens in, their continuations and streams of text out.
#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/engine/runner.h"
#include "weft/engine/sampler.h"
#include "weft/engine/scheduler.h"
#include "weft/engine/stop_filter.h"
#include "weft/text/tokenizer.h"

namespace weft::engine {

struct GenerateOptions {
  int64_t max_tokens = 128;  // most tokens generated for one prompt
  SamplingOptions sampling = {};
  std::vector<int32_t> stop = {};              // tokens that end a text and are not part of it
  std::vector<std::string> stop_strings = {};  // the same as text, wherever tokens begin and end
  int64_t top_logprobs = 0;                    // how many alternatives are told for each token

  // Throws Error(user) naming the option, what it may be and what it is.
  void validate() const;
};

// What one prompt became.
struct Generated {
  std::string text;              // without the prompt; what is not UTF-8 is U+FFFD
  std::vector<int32_t> tokens;   // without the prompt, but with those that spell a stop string
  std::vector<double> logprobs;  // of each token: ln of its probability at temperature 1
  std::vector<std::vector<TokenLogprob>> top_logprobs = {};  // of each token, where asked for
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;  // of the prompt, whose keys and values were there already
  // "stop": a stop token or string came. "length": max_tokens have been generated, or the sequence
  // fills the runner's context. "cancelled": by cancel().
  std::string_view finish_reason;
};

// Where the time went. A step that computes any prompt's tokens counts as prefill with all it does.
struct Throughput {
  int64_t prefill_tokens = 0, decode_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0;
  double prefill_tokens_per_second() const;  // 0 where there were none
  double decode_tokens_per_second() const;
};

// What a sequence becomes depends on the weights, its prompt and its options alone, not on what
// runs beside it or ran before it. The runner and the tokenizer must outlive the engine, and the
// runner serves it alone.
class Engine {
 public:
  // Throws Error(data) for a tokenizer with more tokens than the model.
  Engine(Runner& runner, const Tokenizer& tokenizer);

  // Called with each piece of text as soon as it is whole and cannot be part of a stop string. It
  // must leave the engine alone.
  using TextCallback = std::function<void(std::string_view text)>;
  // Puts a prompt into the queue; returns the number to take() it by. Throws Error(user) for
  // options out of range and for a prompt that is empty or does not fit into the context with one
  // more token, which the error calls `name`.
  int64_t add(std::vector<int32_t> prompt, GenerateOptions options, TextCallback on_text = {},
              const std::string& name = "the prompt");
  // schedule(), run(), commit(): the next tokens of some sequences. False when there are none.
  bool step();
  // Ends a sequence where it is, if it has not ended.
  void cancel(int64_t id);
  // What a sequence that has ended became; the engine forgets it.
  Generated take(int64_t id);

  const Throughput& throughput() const { return throughput_; }

 private:
  // A prompt on its way to a text. It stays where it is in memory.
  struct Stream {
    Stream(const Tokenizer& tokenizer, GenerateOptions o, TextCallback callback)
        : options(std::move(o)),
          on_text(std::move(callback)),
          decoder(tokenizer),
          stop(options.stop_strings) {}
    GenerateOptions options;
    TextCallback on_text;
    Sequence sequence;  // its id is the stream's
    StreamDecoder decoder;
    StopFilter stop;
    Generated result;
  };

  std::span<const float> run(std::span<const Work> work);
  void commit(std::span<const Work> work, std::span<const float> logits);
  void choose(Stream& stream, std::span<const float> logits);
  void emit(Stream& stream, const std::string& text);
  void end(Stream& stream, std::string_view reason);
  void note(std::span<const Work> work, double seconds);

  Runner& runner_;
  const Tokenizer& tokenizer_;
  Scheduler scheduler_;
  Sampler sampler_;
  std::map<int64_t, Stream> streams_;
  int64_t added_ = 0;
  std::vector<Chunk> chunks_;
  std::vector<Stream*> ready_;  // whose logits the step gave, in order
  Throughput throughput_;
};

}  // namespace weft::engine
