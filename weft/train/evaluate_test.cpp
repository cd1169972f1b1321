#include "weft/train/evaluate.h"

#include <cmath>
#include <gtest/gtest.h>

#include "weft/train/train_testing.h"

namespace weft::train {
namespace {

// The loss of one window from its logits, in f64 on the host.
double window_loss(const Params& params, const models::ModelConfig& model,
                   const std::vector<int32_t>& tokens) {
  const int64_t n = int64_t(tokens.size()) - 1;
  const auto leaf = [](const Shape& shape, const std::vector<int32_t>& values) -> Tensor {
    return Array::from<int32_t>(default_device(), shape, values);
  };
  std::vector<int32_t> positions;
  for (int32_t i = 0; i < n; ++i) positions.push_back(i);
  const models::Architecture& architecture = models::find_architecture(model.architecture);
  models::ForwardInputs in;
  in.tokens = leaf({n}, {tokens.begin(), tokens.end() - 1});
  in.where = {
      leaf({n}, positions), leaf({1, 4}, {0, int32_t(n), 0, int32_t(n)}), {}, model.context};
  const Tensor hidden = architecture.hidden(model, params, in);
  const auto logits =
      matmul(hidden, architecture.head(model, params), "td,vd->tv").to_vector<double>();
  double loss = 0;
  for (int64_t t = 0; t < n; ++t) {
    double total = 0;
    for (int64_t v = 0; v < model.vocab; ++v)
      total += std::exp(logits[size_t(t * model.vocab + v)]);
    loss += std::log(total) - logits[size_t(t * model.vocab + tokens[size_t(t + 1)])];
  }
  return loss;
}

struct Example {
  testing::Workshop shop{3000};
  Dataset data{shop.data};
  models::ModelConfig model = testing::tiny_config().model;
  Params params;
  Example() {
    model.vocab = data.info().vocab;
    params = initial_state(model, 3, default_device()).params;
    for (auto& [path, tensor] : params) tensor = tensor * 10.0;  // far from uniform predictions
    eval(tensors_of(params));
  }
};

TEST(Evaluate, IsTheMeanOverAllWindows) {
  const Example s;
  const TokenView& tokens = s.data.val();
  const Evaluation found = evaluate(s.params, s.model, DType::f32, tokens);
  double sum = 0;
  for (int64_t begin = 0; begin < tokens.size() - 1; begin += s.model.context) {
    std::vector<int32_t> window(size_t(std::min(s.model.context + 1, tokens.size() - begin)));
    tokens.copy(begin, window);
    sum += window_loss(s.params, s.model, window);
  }
  EXPECT_EQ(found.tokens, tokens.size() - 1);
  EXPECT_NEAR(found.loss, sum / double(tokens.size() - 1), 1e-5);
  EXPECT_NEAR(evaluate(s.params, s.model, DType::bf16, tokens).loss, found.loss, 0.01 * found.loss);
}

// Each document for itself, however windows are filled: all fit into one.
TEST(Evaluate, ADocumentSeesItselfAlone) {
  const Example s;
  constexpr int32_t start = 0;
  const std::vector<std::vector<int32_t>> documents{{5, 9, 3}, {7}, {2, 2, 8, 1, 4, 6, 3}, {1, 5}};
  std::vector<uint16_t> ids{start};
  double sum = 0;
  for (const std::vector<int32_t>& document : documents) {
    std::vector<int32_t> window{start};
    for (const int32_t id : document) ids.push_back(uint16_t(id)), window.push_back(id);
    ids.push_back(start), window.push_back(start);
    sum += window_loss(s.params, s.model, window);
  }
  const TokenView tokens{std::as_bytes(std::span(ids)), 2, s.model.vocab, {}};
  for (const int64_t windows : {1, 3}) {
    const auto found =
        Evaluator(s.model, DType::f32, default_device(), start, windows).run(s.params, tokens);
    EXPECT_EQ(found->tokens, int64_t(ids.size()) - 1);
    EXPECT_NEAR(found->loss, sum / double(ids.size() - 1), 1e-5);
  }
}

TEST(Evaluate, DoesNotDependOnHowManyWindowsAreComputedTogether) {
  const Example s;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto loss = [&](int64_t windows) {
      return Evaluator(s.model, dtype, default_device(), std::nullopt, windows)
          .run(s.params, s.data.val())
          ->loss;
    };
    const double all = loss(0);
    EXPECT_EQ(loss(1), all);
    EXPECT_EQ(loss(7), all);
  }
}

TEST(Evaluate, StopsWhenInterrupted) {
  const Example s;
  Evaluator evaluator(s.model, DType::f32, default_device(), std::nullopt, 1);
  int asked = 0;
  EXPECT_FALSE(evaluator.run(s.params, s.data.val(), [&] { return ++asked == 3; }).has_value());
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace weft::train
