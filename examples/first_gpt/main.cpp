// A GPT in about a hundred lines: characters in, a model that writes characters out. What `weft
// train` and `weft generate` do, without their files, checkpoints and options.
//
//   example_first_gpt [--quick] [TEXT FILE]
#include <cstdio>
#include <string>

#include "weft/base/file.h"
#include "weft/base/random.h"
#include "weft/kernels/adamw.h"
#include "weft/text/story_grammar.h"
#include "weft/weft.h"

using namespace weft;

namespace {

constexpr int64_t sequences = 8, context = 64, tokens = sequences * context;

// One batch: `sequences` stretches of the text, one after another, each a document of its own.
struct Batch {
  Tensor inputs, targets, positions;  // i32[tokens]
  Tensor segments;                    // i32[sequences, 4]: which rows belong together
  Tensor weights;                     // f32[tokens]: each token's share of the loss
  template <class F>
  void each(F&& f) {
    f(inputs), f(targets), f(positions), f(segments), f(weights);
  }
};

Tensor ints(const Shape& shape, const std::vector<int32_t>& values) {
  return Array::from<int32_t>(default_device(), shape, values);
}

// A function of the step alone: the same batches whenever it is run.
Batch batch_of(const std::vector<int32_t>& text, int64_t step) {
  std::vector<int32_t> in, out, position, segments;
  const Philox random{random_key(1, hash_path("first_gpt"))};
  for (int64_t s = 0; s < sequences; ++s) {
    const size_t at = random(uint64_t(step * sequences + s))[0] % (text.size() - context - 1);
    for (size_t i = 0; i < size_t(context); ++i)
      in.push_back(text[at + i]), out.push_back(text[at + i + 1]), position.push_back(int32_t(i));
    const int32_t row = int32_t(s * context);
    segments.insert(segments.end(), {row, int32_t(context), row, int32_t(context)});
  }
  const std::vector<float> share(tokens, 1.0f / tokens);
  return {ints({tokens}, in), ints({tokens}, out), ints({tokens}, position),
          ints({sequences, 4}, segments), Array::from<float>(default_device(), {tokens}, share)};
}

// Weights and what AdamW remembers of their gradients.
struct State {
  Params params, m, v;
  template <class F>
  void each(F&& f) {
    f(params), f(m), f(v);
  }
};

int run(bool quick, const std::string& text) {
  const CharTokenizer tokenizer = CharTokenizer::from_text(text);
  const std::vector<int32_t> ids = tokenizer.encode(text);
  if (int64_t(ids.size()) < context + 2)
    user_error("the text must have at least {} characters, it has {}", context + 2, ids.size());
  const models::ModelConfig config{
      .vocab = tokenizer.vocab_size(), .context = context, .layers = 2, .heads = 4, .width = 64};
  const models::Architecture& gpt2 = models::find_architecture("gpt2");

  // Forward: hidden states, then the loss; the logits of the whole batch never exist.
  const auto loss = [&](const Params& params, const Batch& b) {
    const models::ForwardInputs in{b.inputs, {b.positions, b.segments, {}, context}};
    const Tensor hidden = gpt2.hidden(config, params, in);
    return linear_cross_entropy(hidden, gpt2.head(config, params), b.targets, b.weights).loss;
  };
  // Backward and update, traced once and compiled; the state is overwritten in place.
  auto step = jit(
      [&](State s, Batch b, Tensor hyper) {
        const auto [value, grads] = value_and_grad(loss)(s.params, b);
        for (auto& [path, p] : s.params) {
          const AdamWState next = adamw({p, s.m[path], s.v[path]}, grads.at(path), hyper,
                                        full({}, DType::f32, 1), {.weight_decay = 0.01});
          p = next.param, s.m[path] = next.m, s.v[path] = next.v;
        }
        return std::pair(s, value);
      },
      donate(0));

  State state{gpt2.initialize(config, 1), {}, {}};
  for (const auto& [path, p] : state.params)
    state.m[path] = zeros(p.dims(), DType::f32), state.v[path] = zeros(p.dims(), DType::f32);
  double first = 0, last = 0;
  const int64_t steps = quick ? 150 : 1500;
  for (int64_t i = 0; i < steps; ++i) {
    const kernels::AdamWHyper h = kernels::adamw_hyper(3e-3, 0.9, 0.95, i + 1);
    const std::vector<float> hyper{h.lr, h.correction1, h.correction2, 0};
    Tensor value;
    std::tie(state, value) = step(std::move(state), batch_of(ids, i),
                                  Tensor(Array::from<float>(default_device(), {4}, hyper)));
    last = value.item();
    if (i == 0) first = last;
    if (i % (steps / 5) == 0)
      std::printf("step %4lld  loss %.3f\n", static_cast<long long>(i), last);
  }
  std::printf("loss %.3f, from %.3f\n", last, first);

  engine::Runner runner(config, state.params, {.dtype = DType::f32, .slots = 1});
  engine::GenerateOptions options{.max_tokens = context - 8};
  options.sampling.temperature = 0.7;
  const std::string prompt = text.substr(0, 4);
  std::printf("%s%s\n", prompt.c_str(),
              engine::generate(runner, tokenizer, {prompt}, options).texts[0].text.c_str());
  return last < 0.75 * first ? 0 : 1;  // it has learned something, or this example is broken
}

}  // namespace

int main(int argc, char** argv) try {
  bool quick = false;
  std::string text = make_corpus(story_grammar(), 1, 1 << 20);
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--quick")
      quick = true;
    else
      text = read_file(argv[i], uint64_t(1) << 30);
  }
  return run(quick, text);
} catch (const Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
