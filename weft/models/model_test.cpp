#include "weft/models/model.h"

#include <gtest/gtest.h>

#include "weft/graph/grad_check.h"

namespace weft::models {
namespace {

Tensor ints(const Shape& shape, const std::vector<int32_t>& values) {
  return Tensor(Array::from<int32_t>(default_device(), shape, values));
}

// The loss of a whole model in f64, over two documents, against central differences along random
// directions.
void expect_gradient_is_the_difference_quotient(const ModelConfig& config) {
  const Architecture& model = find_architecture(config.architecture);
  Params params = model.initialize(config, 3);
  Tensors x;
  uint64_t seed = 0;
  for (auto& [path, value] : params)
    x.push_back(cast(value, DType::f64) + random_f64(value.dims().max_shape(), ++seed) * 0.3);
  eval(x);
  ForwardInputs in;
  in.tokens = ints({9}, {1, 5, 2, 7, 0, 10, 3, 3, 8});
  in.where = {
      ints({9}, {0, 1, 2, 3, 0, 1, 2, 3, 4}), ints({2, 4}, {0, 4, 0, 4, 4, 5, 4, 5}), {}, 6};
  const Tensor targets = ints({9}, {5, 2, 7, -1, 10, 3, 3, 8, 1});
  const auto loss = [&](const Tensors& values) {
    const Params p = with_tensors(params, values);
    const Tensor weights = full({9}, DType::f64, 1.0 / 8);
    return linear_cross_entropy(model.hidden(config, p, in), model.head(config, p), targets,
                                weights)
        .loss;
  };
  const GradCheck check = check_gradient(loss, x, 4, 1e-4);
  EXPECT_LT(check.relative_error, 1e-6) << check.analytic << " against " << check.numeric;
}

ModelConfig tiny(const char* architecture) {
  return {
      .architecture = architecture, .vocab = 11, .context = 6, .layers = 2, .heads = 2, .width = 8};
}

TEST(Model, GradientOfGpt2) {
  expect_gradient_is_the_difference_quotient(tiny("gpt2"));
}

TEST(Model, GradientOfLlama) {
  ModelConfig config = tiny("llama");
  expect_gradient_is_the_difference_quotient(config);
  config.kv_heads = 1, config.head_dim = 6, config.hidden = 12, config.tied = false;
  config.qkv_bias = config.out_bias = config.mlp_bias = config.qk_norm = true;
  config.window = 3, config.window_from = 1, config.rope_scaling = {4, 1, 4, 16};
  expect_gradient_is_the_difference_quotient(config);
}

std::string refusal(const ModelConfig& config) {
  try {
    find_architecture(config.architecture).validate(config);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Model, SizesThatMakeNoSenseAreRefused) {
  const auto refused = [](const char* architecture, auto change) {
    ModelConfig config = tiny(architecture);
    EXPECT_EQ(refusal(config), "");
    change(config);
    return refusal(config);
  };
  EXPECT_EQ(refused("llama", [](ModelConfig& c) { c.kv_heads = 3; }),
            "llama needs kv_heads from 1 to 2, got 3");
  EXPECT_EQ(refused("llama", [](ModelConfig& c) { c.heads = 3, c.kv_heads = 2, c.head_dim = 2; }),
            "llama needs kv_heads that divide heads, got 2 and 3");
  EXPECT_EQ(refused("llama", [](ModelConfig& c) { c.heads = 3; }),
            "llama needs heads that divide dim, or a head_dim, got 3 heads and dim 8");
  EXPECT_EQ(refused("llama", [](ModelConfig& c) { c.head_dim = 5; }),
            "llama needs heads of an even size, got 2 of 5");
  EXPECT_EQ(refused("llama", [](ModelConfig& c) { c.rope_scaling.low = 4; }),
            "llama needs rope_low above 0 and below rope_high, got 4 and 4");
  EXPECT_EQ(refused("gpt2", [](ModelConfig& c) { c.kv_heads = 1; }),
            "kv_heads, head_dim and window are for llama; gpt2 has none of them");
  EXPECT_EQ(refused("gpt2", [](ModelConfig& c) { c.qk_norm = true; }),
            "qkv_bias, out_bias, mlp_bias and qk_norm are for llama; gpt2 has its own biases");
}

}  // namespace
}  // namespace weft::models
