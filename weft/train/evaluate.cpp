#include "weft/train/evaluate.h"

#include <algorithm>

namespace weft::train {
namespace {

int64_t windows_together(int64_t asked, int64_t context) {
  constexpr int64_t tokens = 4096;
  return asked > 0 ? asked : std::max<int64_t>(tokens / context, 1);
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

Evaluator::Evaluator(const models::ModelConfig& model, DType dtype, Device& device,
                     std::optional<int32_t> document_start, int64_t windows)
    : dtype_(dtype),
      batch_(device, windows_together(windows, model.context), model.context, 1, document_start),
      cast_([dtype](Params params) { return models::cast_params(params, dtype); }, {}),
      nll_([model](Params weights, Batch::Tensors batch) { return nll_of(model, weights, batch); },
           {}) {}

std::optional<Evaluation> Evaluator::run(const Params& params, const TokenView& tokens,
                                         const std::function<bool()>& interrupted) {
  const Params weights = dtype_ == DType::f32 ? params : cast_(params);
  Evaluation result;
  double sum = 0;
  std::vector<float> nll(size_t(batch_.tokens_max()));
  for (int64_t begin = 0; begin < tokens.size() - 1;) {
    if (interrupted && interrupted()) return std::nullopt;
    begin = batch_.fill_windows(tokens, begin);
    const Tensor found = nll_(weights, batch_.tensors());
    const Array& array = found.value();
    array.device().copy_to_host(reinterpret_cast<std::byte*>(nll.data()), array.data(),
                                array.bytes());
    for (const float each : nll) sum += double(each);  // 0 where nothing is predicted
  }
  result.tokens = tokens.size() - 1;
  WEFT_CHECK(result.tokens > 0, "{} tokens", tokens.size());
  result.loss = sum / double(result.tokens);
  return result;
}

int64_t Evaluator::planned_bytes() const {
  return batch_.bytes() + own_bytes(cast_.executable()) + own_bytes(nll_.executable());
}

Evaluation evaluate(const Params& params, const models::ModelConfig& model, DType dtype,
                    const TokenView& tokens, std::optional<int32_t> document_start) {
  return *Evaluator(model, dtype, default_device(), document_start).run(params, tokens);
}

}  // namespace weft::train
