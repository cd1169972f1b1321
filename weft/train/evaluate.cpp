#include "weft/train/evaluate.h"

#include <algorithm>

#include "weft/base/error.h"

namespace weft::train {
namespace {

int64_t rows_together(int64_t asked, int64_t context) {
  constexpr int64_t tokens = 4096;
  return asked > 0 ? asked : std::max<int64_t>(tokens / context, 1);
}

// Short documents share a row.
int64_t windows_of_row(int64_t context) {
  return std::max<int64_t>(context / 8, 1);
}

Tensor nll_of(const models::ModelConfig& model, const Params& weights,
              const Batch::Tensors& batch) {
  const models::Architecture& architecture = models::find_architecture(model.architecture);
  models::ForwardInputs in;
  in.tokens = batch.tokens;
  in.where = {batch.positions, batch.segments, {}, model.context};
  const Tensor hidden = architecture.hidden(model, weights, in);
  return linear_cross_entropy(hidden, architecture.head(model, weights), batch.targets,
                              batch.weights)
      .nll;
}

int64_t own_bytes(const Executable* executable) {
  return executable ? executable->memory().output_bytes + executable->memory().arena_bytes : 0;
}

}  // namespace

Evaluator::Evaluator(const models::ModelConfig& model, DType dtype, Device& device, int64_t rows)
    : dtype_(dtype),
      context_(model.context),
      batch_(device, rows_together(rows, model.context), model.context,
             windows_of_row(model.context)),
      nll_(size_t(batch_.tokens_max())),
      cast_([dtype](Params params) { return models::cast_params(params, dtype); }, {}),
      compute_(
          [model](Params weights, Batch::Tensors batch) { return nll_of(model, weights, batch); },
          {}) {}

// The windows that are in the batch; empties it.
void Evaluator::compute(const Params& weights, Evaluation& to) {
  batch_.upload(1);
  const Tensor found = compute_(weights, batch_.tensors());
  const Array& array = found.value();
  array.device().copy_to_host(reinterpret_cast<std::byte*>(nll_.data()), array.data(),
                              array.bytes());
  for (const Window& window : windows_) {
    Evaluation::Document* const document =
        to.documents.empty() ? nullptr : &to.documents[size_t(window.document)];
    for (int64_t i = window.at; i < window.at + window.length; ++i) {
      to.loss += double(nll_[size_t(i)]);
      if (document) document->nats += double(nll_[size_t(i)]);
    }
    to.tokens += window.length;
    if (document) document->tokens += window.length;
  }
  batch_.clear(), windows_.clear();
}

std::optional<Evaluation> Evaluator::run(const Params& params, std::span<const Documents> texts,
                                         const EvaluationOptions& options) {
  const Params weights = dtype_ == DType::f32 ? params : cast_(params);
  Evaluation result;
  int64_t row = 0, document = 0;
  if (options.per_document)
    for (const Documents& text : texts)
      result.documents.resize(result.documents.size() + size_t(text.size()));
  batch_.clear(), windows_.clear();
  for (const Documents& text : texts)
    for (int64_t d = 0; d < text.size(); ++d, ++document)
      for (int64_t at = text.begin(d); at < text.end(d) - 1; at += context_) {
        const int64_t length = std::min(context_, text.end(d) - 1 - at);
        if (!batch_.fits(row, length)) ++row;
        if (row == batch_.rows()) compute(weights, result), row = 0;
        if (windows_.empty() && options.interrupted && options.interrupted()) return std::nullopt;
        windows_.push_back({document, batch_.add(row, text.tokens, at, length), length});
      }
  if (!windows_.empty()) compute(weights, result);
  if (result.tokens == 0) data_error("no document has two tokens, so there is no loss to measure");
  result.loss /= double(result.tokens);
  return result;
}

int64_t Evaluator::planned_bytes() const {
  return batch_.bytes() + own_bytes(cast_.executable()) + own_bytes(compute_.executable());
}

Evaluation evaluate(const Params& params, const models::ModelConfig& model, DType dtype,
                    std::span<const Documents> texts, bool per_document) {
  return *Evaluator(model, dtype, default_device()).run(params, texts, {per_document, {}});
}

}  // namespace weft::train
