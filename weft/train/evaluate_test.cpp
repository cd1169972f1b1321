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
  const TokenView tokens = s.data.val().tokens;
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

TEST(Evaluate, DoesNotDependOnHowManyWindowsAreComputedTogether) {
  const Example s;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto loss = [&](int64_t windows) {
      return Evaluator(s.model, dtype, default_device(), windows).run(s.params, s.data.val())->loss;
    };
    const double all = loss(0);
    EXPECT_EQ(loss(1), all);
    EXPECT_EQ(loss(7), all);
  }
}

// Windows share rows, but see nothing of each other's documents; several texts are as one.
TEST(Evaluate, EveryDocumentByItself) {
  const Example s;
  const TokenView tokens = s.data.val().tokens;
  ASSERT_GT(tokens.size(), 300);
  const std::vector<uint64_t> ends{1, 3, 40, 57, 58, 60, 61, 200, 300};  // the context is 16
  const Documents all({tokens.payload.first(size_t(300 * tokens.token_bytes)),
                       tokens.token_bytes,
                       tokens.vocab_size,
                       {}},
                      ends);
  const auto run = [&](int64_t rows, std::vector<Documents> texts) {
    return *Evaluator(s.model, DType::f32, default_device(), rows).run(s.params, texts, {true, {}});
  };
  const Evaluation found = run(0, {all});
  ASSERT_EQ(found.documents.size(), ends.size());
  double sum = 0;
  int64_t predicted = 0;
  for (int64_t d = 0; d < all.size(); ++d) {
    double want = 0;
    for (int64_t at = all.begin(d); at < all.end(d) - 1; at += s.model.context) {
      std::vector<int32_t> window(size_t(std::min(s.model.context + 1, all.end(d) - at)));
      tokens.copy(at, window);
      want += window_loss(s.params, s.model, window);
    }
    const auto [nats, count] = found.documents[size_t(d)];
    EXPECT_EQ(count, all.end(d) - all.begin(d) - 1);
    EXPECT_NEAR(nats, want, 1e-5 * (1 + want)) << d;
    sum += nats, predicted += count;
  }
  EXPECT_EQ(found.tokens, predicted);
  EXPECT_NEAR(found.loss, sum / double(predicted), 1e-9);
  EXPECT_EQ(run(1, {all}).loss, found.loss);
  const Evaluation twice = run(3, {all, all});
  EXPECT_EQ(twice.documents.size(), 2 * ends.size());
  EXPECT_EQ(twice.documents[11].nats, found.documents[2].nats);
  EXPECT_NEAR(twice.loss, found.loss, 1e-9);
}

TEST(Evaluate, StopsWhenInterrupted) {
  const Example s;
  Evaluator evaluator(s.model, DType::f32, default_device(), 1);
  int asked = 0;
  EXPECT_FALSE(evaluator.run(s.params, s.data.val(), {.interrupted = [&] { return ++asked == 3; }})
                   .has_value());
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace weft::train
