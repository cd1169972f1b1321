#include "weft/train/step.h"

#include <cmath>
#include <gtest/gtest.h>

#include "weft/kernels/adamw.h"
#include "weft/train/train_testing.h"

namespace weft::train {
namespace {

using testing::tiny_config;

struct Example {
  testing::Workshop shop{3000};
  Dataset data{shop.data};
  TrainConfig config = tiny_config();
  Example() { config.model.vocab = data.info().vocab, config.dtype = "f32"; }
  Samples samples() const { return {config, {{data.train()}}}; }
  State state() const { return initial_state(config.model, 1, default_device()); }
};

Tensor hyper_of(const TrainConfig& c, int64_t step) {
  const kernels::AdamWHyper h =
      kernels::adamw_hyper(learning_rate(c.learning_rates(), step), c.beta1, c.beta2, step + 1);
  return Array::from<float>(default_device(), {4},
                            std::vector<float>{h.lr, h.correction1, h.correction2, 0});
}

// The gradient of one micro-batch, on the host.
std::map<std::string, std::vector<float>> gradient(const Example& s, const Params& params,
                                                   int64_t first, int64_t random) {
  const TrainConfig& c = s.config;
  Batch batch(default_device(), c.batch / c.micro_batches, c.model.context);
  const Samples samples = s.samples();
  std::vector<Piece> pieces;
  for (int64_t row = 0; row < batch.rows(); ++row) {
    samples.get(first + row, pieces);
    batch.add(row, samples.tokens(pieces[0]), pieces[0].begin, pieces[0].length);
  }
  batch.upload(float(1.0 / double(c.tokens_per_step())));
  batch.set_random(uint64_t(c.seed), random);
  auto f = jit([&](Params p, Batch::Tensors b) {
    return value_and_grad([&](const Params& q) {
             return batch_loss(c, models::cast_params(q, parse_dtype(c.dtype)), b);
           })(p)
        .second;
  });
  std::map<std::string, std::vector<float>> out;
  for (const auto& [path, tensor] : f(params, batch.tensors()))
    out[path] = tensor.to_vector<float>();
  return out;
}

using Gradient = std::map<std::string, std::vector<float>>;
Gradient plus(Gradient a, const Gradient& b) {
  for (auto& [path, values] : a)
    for (size_t i = 0; i < values.size(); ++i) values[i] += b.at(path)[i];
  return a;
}
Params tensors(const Gradient& g, const Params& like) {
  Params out;
  for (const auto& [path, values] : g)
    out[path] = Array::from<float>(default_device(), like.at(path).dims().max_shape(), values);
  return out;
}

// Micro-batches of one sequence: in order within a lane, lanes in a binary tree.
TEST(Step, MicroBatchesAreSummedInLanes) {
  Example s;
  s.config.batch = 8, s.config.micro_batches = 8;
  s.config.model.dropout = 0.2;
  const State initial = s.state();
  std::vector<Gradient> g;
  for (int64_t i = 0; i < 8; ++i) g.push_back(gradient(s, initial.params, i, i));
  const auto in_order = [&](size_t begin, size_t end) {
    Gradient sum = g[begin];
    for (size_t i = begin + 1; i < end; ++i) sum = plus(sum, g[i]);
    return sum;
  };
  const auto after_update = [&](const Gradient& sum) {
    return weights_sha256(
        update(s.config, initial, tensors(sum, initial.params), hyper_of(s.config, 0))
            .state.params);
  };
  const auto after_step = [&](int64_t lanes) {
    s.config.lanes = lanes;
    const Samples samples = s.samples();
    Stepper stepper(s.config, s.state(), default_device(), samples);
    stepper.run(0, 0);
    return weights_sha256(stepper.state().params);
  };
  EXPECT_EQ(after_step(1), after_update(in_order(0, 8)));
  EXPECT_EQ(after_step(2), after_update(plus(in_order(0, 4), in_order(4, 8))));
  const Gradient left = plus(in_order(0, 2), in_order(2, 4)),
                 right = plus(in_order(4, 6), in_order(6, 8));
  EXPECT_EQ(after_step(4), after_update(plus(left, right)));
}

TEST(Step, LossAndNormAreThoseOfTheWholeBatch) {
  Example s;
  const Samples samples = s.samples();
  Stepper whole(s.config, s.state(), default_device(), samples);
  s.config.micro_batches = 4, s.config.lanes = 2;
  Stepper parts(s.config, s.state(), default_device(), samples);
  for (int64_t step = 0; step < 3; ++step) {
    const auto a = whole.run(step, step * 4), b = parts.run(step, step * 4);
    EXPECT_NEAR(a.loss, b.loss, 1e-5);
    EXPECT_NEAR(a.grad_norm, b.grad_norm, 1e-4);
  }
}

// One step by the formula, from the gradient: clipped, decayed only where there are two dimensions.
TEST(Step, UpdateIsAdamW) {
  Example s;
  s.config.warmup = 0, s.config.grad_clip = 0.5;
  const State state = s.state();
  const Gradient g = gradient(s, state.params, 0, 0);
  double square = 0;
  for (const auto& [path, values] : g)
    for (const float x : values) square += double(x) * double(x);
  const double norm = std::sqrt(square), scale = 0.5 / norm;
  ASSERT_LT(scale, 1);
  const Update next = update(s.config, state, tensors(g, state.params), hyper_of(s.config, 0));
  EXPECT_NEAR(next.norm.item(), norm, 1e-5 * norm);
  for (const auto& [path, values] : g) {
    const auto before = state.params.at(path).to_vector<double>(),
               after = next.state.params.at(path).to_vector<double>();
    const double decay = state.params.at(path).rank() >= 2 ? s.config.weight_decay : 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double x =
          double(values[i]) * scale;  // m / (1 - beta1) and sqrt(v / (1 - beta2)) of the first step
      const double wanted =
          before[i] - s.config.lr * (x / (std::abs(x) + s.config.epsilon) + decay * before[i]);
      ASSERT_NEAR(after[i], wanted, 2e-6) << path;
    }
  }
}

TEST(Step, AllocatesNothingAfterTheFirstTwo) {
  for (const int64_t micro_batches : {1, 4}) {
    testing::UseDevice use(2);
    Example s;
    s.config.micro_batches = micro_batches, s.config.lanes = std::min<int64_t>(micro_batches, 2);
    const Samples samples = s.samples();
    Stepper stepper(s.config, s.state(), use.device, samples);
    for (int64_t step = 0; step < 2; ++step) stepper.run(step, step * 4);
    const MemoryStats before = use.device.memory();
    for (int64_t step = 2; step < 12; ++step) stepper.run(step, step * 4);
    EXPECT_EQ(use.device.memory().allocations, before.allocations);
    EXPECT_EQ(use.device.memory().live_bytes, before.live_bytes);
  }
}

}  // namespace
}  // namespace weft::train
