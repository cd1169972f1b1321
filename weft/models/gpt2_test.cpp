#include <gtest/gtest.h>

#include "weft/graph/grad_check.h"
#include "weft/models/model.h"

namespace weft::models {
namespace {

Tensor ints(const Shape& shape, const std::vector<int32_t>& values) {
  return Tensor(Array::from<int32_t>(default_device(), shape, values));
}

// The loss of a whole two-layer model in f64, over two documents, against central differences along
// random directions.
TEST(Gpt2, GradientOfAWholeModelIsTheDifferenceQuotient) {
  const ModelConfig config{.vocab = 11, .context = 6, .layers = 2, .heads = 2, .width = 8};
  const Architecture& gpt2 = find_architecture("gpt2");
  Params params = gpt2.initialize(config, 3);
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
    return linear_cross_entropy(gpt2.hidden(config, p, in), gpt2.head(config, p), targets, weights)
        .loss;
  };
  const GradCheck check = check_gradient(loss, x);
  EXPECT_LT(check.relative_error, 1e-6) << check.analytic << " against " << check.numeric;
}

}  // namespace
}  // namespace weft::models
