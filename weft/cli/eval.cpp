// weft eval
#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>

#include "weft/base/error.h"
#include "weft/cli/command.h"
#include "weft/train/evaluate.h"
#include "weft/train/mixture.h"

namespace weft::cli {
namespace {

std::vector<train::MixturePart> data_of(const train::LoadedModel& model, const std::string& path,
                                        const std::string& given) {
  if (!given.empty()) return train::parse_mixture(given);
  if (!model.run) user_error("{} does not say what it was trained on; give --data DIR", path);
  return train::read_run_config(path).data;
}

std::vector<Documents> documents_of(const train::Mixture& data, bool val) {
  if (val) return data.val();
  std::vector<Documents> all;
  for (const train::Samples::Source& source : data.train()) all.push_back(source.documents);
  return all;
}

// Bytes of the tokens that are predicted: of each document all but the first. By document.
std::vector<int64_t> predicted_bytes(const std::vector<Documents>& texts,
                                     const Tokenizer& tokenizer) {
  const std::vector<int64_t> by_token = train::bytes_by_token(tokenizer);
  std::vector<int64_t> bytes;
  for (const Documents& text : texts)
    for (int64_t d = 0; d < text.size(); ++d)
      bytes.push_back(train::text_bytes(text.tokens, text.begin(d) + 1, text.end(d), by_token));
  return bytes;
}

double bits_per_byte(double nats, int64_t bytes) {
  return bytes ? nats / std::log(2.0) / double(bytes) : 0;
}

void print_documents(const train::Evaluation& e, const std::vector<int64_t>& bytes, bool json) {
  for (size_t d = 0; d < e.documents.size(); ++d) {
    const auto& [nats, tokens] = e.documents[d];
    const double loss = tokens ? nats / double(tokens) : 0, bits = bits_per_byte(nats, bytes[d]);
    if (json)
      print_json({{"document", d},
                  {"loss", loss},
                  {"tokens", tokens},
                  {"bytes", bytes[d]},
                  {"bits_per_byte", bits}});
    else
      std::printf("document %zu: loss %.4f over %lld tokens, %.4f bits a byte\n", d, loss,
                  static_cast<long long>(tokens), bits);
  }
}

}  // namespace

void add_eval(CLI::App& app) {
  struct Options {
    std::string model, data, split = "val", dtype;
    int64_t context = 0;
    bool best = false, per_document = false;
    Compute compute;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand("eval", "the loss of a model on a whole split");
  c->add_option("MODEL", o->model, "a run folder or a Hugging Face directory")->required();
  c->add_option("--data", o->data, "data directories; default: those a run was trained on");
  c->add_option("--split", o->split, "val or train")
      ->check(CLI::IsMember({"val", "train"}))
      ->capture_default_str();
  c->add_option("--context", o->context, "tokens of a window; default: the model's");
  c->add_option("--dtype", o->dtype, "number type that computes; default: the model's")
      ->check(CLI::IsMember({"bf16", "f32"}));
  c->add_flag("--per-document", o->per_document, "the loss of each document too");
  add_best(*c, o->best);
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o] {
    use(o->compute);
    train::LoadedModel model = load(o->model, o->best);
    const train::Mixture data(data_of(model, o->model, o->data));
    train::check_same_tokenizer(*model.tokenizer, o->model, data.tokenizer(), data.parts()[0].path);
    if (o->context < 0 || o->context > model.config.context)
      user_error("--context must be from 1 to the model's {}, got {}", model.config.context,
                 o->context);
    if (o->context > 0) model.config.context = o->context;
    const std::vector<Documents> texts = documents_of(data, o->split == "val");
    const train::Evaluation e = train::evaluate(
        model.params, model.config, parse_dtype(o->dtype.empty() ? model.dtype : o->dtype), texts,
        o->per_document);
    const std::vector<int64_t> bytes = predicted_bytes(texts, *model.tokenizer);
    const double bits = bits_per_byte(e.loss * double(e.tokens),
                                      std::accumulate(bytes.begin(), bytes.end(), int64_t(0)));
    print_documents(e, bytes, o->output.json);
    if (o->output.json)
      print_json({{"model", o->model},
                  {"step", model.step},
                  {"split", o->split},
                  {"loss", e.loss},
                  {"tokens", e.tokens},
                  {"perplexity", std::exp(e.loss)},
                  {"bits_per_byte", bits}});
    else
      std::printf(
          "step %lld, %s: loss %.4f nats a token over %lld tokens, perplexity %.3f, %.4f bits a "
          "byte\n",
          static_cast<long long>(model.step), o->split.c_str(), e.loss,
          static_cast<long long>(e.tokens), std::exp(e.loss), bits);
  });
}

}  // namespace weft::cli
