// The loss on a whole split.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "weft/graph/jit.h"
#include "weft/io/documents.h"
#include "weft/train/batch.h"
#include "weft/train/state.h"

namespace weft::train {

struct Evaluation {
  double loss = 0;     // mean negative log-likelihood of the predicted tokens, nats
  int64_t tokens = 0;  // predicted: of each document all but the first
  // Of each document, where asked for: the sum, and the tokens predicted.
  struct Document {
    double nats = 0;
    int64_t tokens = 0;
  };
  std::vector<Document> documents = {};
};

struct EvaluationOptions {
  bool per_document = false;
  std::function<bool()> interrupted = {};  // stops when it says so: nothing is returned then
};

// Consecutive windows of `context` tokens that do not overlap, of one document after another; a
// token sees those before it in its window. The sum is in f64 in the order of the text, so it does
// not depend on how many windows are computed together.
class Evaluator {
 public:
  // rows: of windows computed together; 0: about 4096 tokens.
  Evaluator(const models::ModelConfig& model, DType dtype, Device& device, int64_t rows = 0);

  std::optional<Evaluation> run(const Params& params, std::span<const Documents> texts,
                                const EvaluationOptions& options = {});
  std::optional<Evaluation> run(const Params& params, const Documents& text,
                                const EvaluationOptions& options = {}) {
    return run(params, {&text, 1}, options);
  }
  // Besides the parameters given; known after the first run.
  int64_t planned_bytes() const;

 private:
  // A window in the batch.
  struct Window {
    int64_t document, at, length;
  };
  void compute(const Params& weights, Evaluation& to);

  DType dtype_;
  int64_t context_;
  Batch batch_;
  std::vector<Window> windows_;  // in the batch, in the order of the text
  std::vector<float> nll_;
  Jit<std::function<Params(Params)>> cast_;
  Jit<std::function<Tensor(Params, Batch::Tensors)>> compute_;
};

// The same, once.
Evaluation evaluate(const Params& params, const models::ModelConfig& model, DType dtype,
                    std::span<const Documents> texts, bool per_document = false);
inline Evaluation evaluate(const Params& params, const models::ModelConfig& model, DType dtype,
                           const Documents& text) {
  return evaluate(params, model, dtype, {&text, 1});
}

}  // namespace weft::train
