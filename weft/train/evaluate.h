// The loss on a whole split.
#pragma once
#include <functional>
#include <optional>

#include "weft/graph/jit.h"
#include "weft/train/batch.h"
#include "weft/train/state.h"

namespace weft::train {

struct Evaluation {
  double loss = 0;     // mean negative log-likelihood of the predicted tokens, nats
  int64_t tokens = 0;  // predicted: all but the first
};

// Consecutive windows of `context` tokens that do not overlap; a token sees those of its document
// before it in its window. The sum is in f64 in the order of the text, so it does not depend on how
// many windows are computed together.
class Evaluator {
 public:
  // document_start: of the data, see DataInfo. windows: computed together; 0: about 4096 tokens.
  Evaluator(const models::ModelConfig& model, DType dtype, Device& device,
            std::optional<int32_t> document_start = {}, int64_t windows = 0);

  // Stops early when `interrupted` says so: nothing is returned then.
  std::optional<Evaluation> run(const Params& params, const TokenView& tokens,
                                const std::function<bool()>& interrupted = {});
  // Besides the parameters given; known after the first run.
  int64_t planned_bytes() const;

 private:
  DType dtype_;
  Batch batch_;
  Jit<std::function<Params(Params)>> cast_;
  Jit<std::function<Tensor(Params, Batch::Tensors)>> nll_;
};

// The same, once.
Evaluation evaluate(const Params& params, const models::ModelConfig& model, DType dtype,
                    const TokenView& tokens, std::optional<int32_t> document_start = {});

}  // namespace weft::train
