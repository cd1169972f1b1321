// One description of a case per op serves three checks: the gradient against central differences in
// f64, the second gradient where the op is smooth, and the fast kernels (f32, bf16) against the f64
// reference.
#include <gtest/gtest.h>

#include "weft/graph/grad_check.h"

namespace weft {
namespace {

using Function = std::function<Tensor(const Tensors&)>;

struct OpCase {
  const char* name;
  std::vector<Shape> shapes;
  Function f;
  double low = -1, high = 1;
  bool smooth = true;        // second order is checked too
  double bf16_error = 0.02;  // of the result's largest value
};

Tensor i32(const Shape& shape, const std::vector<int32_t>& values) {
  return Tensor(Array::from<int32_t>(default_device(), shape, values));
}
const Tensor& segments() {
  static const Tensor t = i32({2, 4}, {0, 3, 0, 3, 3, 4, 3, 4});
  return t;
}
Tensor heads(const Tensor& x, int64_t n) {
  return reshape(x, {x.dim(0), n, x.dim(1) / Dim(n)});
}
Tensor rng() {
  return Tensor(Array::from<int64_t>(default_device(), {2}, std::vector<int64_t>{5, 9}));
}
Tensor angles(double phase) {
  std::vector<float> t;
  for (int position = 0; position < 16; ++position)
    for (const double frequency : {1.0, 0.1})
      t.push_back(float(std::cos(position * frequency + phase)));
  return Tensor(Array::from<float>(default_device(), {16, 2}, t));
}
Tensor ones(const Tensor& like, int axis) {
  return full({like.dim(axis)}, like.dtype() == DType::f64 ? DType::f64 : DType::f32, 0.25);
}

std::vector<OpCase> cases() {
  const Tensor pos = i32({7}, {0, 1, 2, 0, 1, 2, 3});
  return {
      {"add", {{3, 5}, {5}}, [](const Tensors& x) { return x[0] + x[1]; }},
      {"sub", {{3, 5}, {3, 1}}, [](const Tensors& x) { return x[0] - x[1]; }},
      {"mul", {{3, 5}, {3, 5}}, [](const Tensors& x) { return x[0] * x[1]; }},
      {"div", {{3, 5}, {5}}, [](const Tensors& x) { return x[0] / x[1]; }, 0.5, 2},
      {"neg", {{7}}, [](const Tensors& x) { return -x[0]; }},
      {"exp", {{3, 5}}, [](const Tensors& x) { return exp(x[0]); }},
      {"log", {{3, 5}}, [](const Tensors& x) { return log(x[0]); }, 0.3, 2},
      {"sqrt", {{3, 5}}, [](const Tensors& x) { return sqrt(x[0]); }, 0.3, 2},
      {"rsqrt", {{3, 5}}, [](const Tensors& x) { return rsqrt(x[0]); }, 0.3, 2},
      {"pow", {{3, 5}, {3, 5}}, [](const Tensors& x) { return pow(x[0], x[1]); }, 0.3, 2},
      {"tanh", {{3, 5}}, [](const Tensors& x) { return tanh(x[0]); }},
      {"sigmoid", {{3, 5}}, [](const Tensors& x) { return sigmoid(x[0]); }},
      {"erf", {{3, 5}}, [](const Tensors& x) { return erf(x[0]); }},
      {"sin", {{3, 5}}, [](const Tensors& x) { return sin(x[0]); }},
      {"cos", {{3, 5}}, [](const Tensors& x) { return cos(x[0]); }},
      {"abs", {{3, 5}}, [](const Tensors& x) { return abs(x[0]); }, 0.1, 1, false},
      {"relu", {{3, 5}}, [](const Tensors& x) { return relu(x[0]); }, 0.1, 1, false},
      {"gelu", {{3, 5}}, [](const Tensors& x) { return gelu(x[0]); }, -3, 3},
      {"silu", {{3, 5}}, [](const Tensors& x) { return silu(x[0]); }, -3, 3},
      {"minimum",
       {{3, 5}, {3, 5}},
       [](const Tensors& x) { return minimum(x[0], x[1]); },
       -1,
       1,
       false},
      {"maximum",
       {{3, 5}, {3, 5}},
       [](const Tensors& x) { return maximum(x[0], x[1]); },
       -1,
       1,
       false},
      {"where",
       {{3, 5}, {3, 5}, {3, 5}},
       [](const Tensors& x) { return where(less(x[0], x[1]), x[1], x[2]); },
       -1,
       1,
       false},
      {"sum", {{3, 5, 4}}, [](const Tensors& x) { return sum(x[0], 1, 1); }},
      {"sum_last", {{3, 5, 40}}, [](const Tensors& x) { return sum(x[0], 1, 2, true); }},
      {"mean", {{3, 5, 4}}, [](const Tensors& x) { return mean(x[0], 0, 1); }},
      {"max", {{3, 5, 4}}, [](const Tensors& x) { return max(x[0], 1, 1); }, -1, 1, false},
      {"reshape",
       {{3, 8}},
       [](const Tensors& x) {
         return reshape(x[0], {4, 6});
       }},
      {"transpose",
       {{3, 5, 4}},
       [](const Tensors& x) {
         return transpose(x[0], {2, 0, 1});
       }},
      {"broadcast",
       {{3, 1, 4}},
       [](const Tensors& x) {
         return broadcast_to(x[0], {2, 3, 5, 4});
       }},
      {"slice", {{3, 8}}, [](const Tensors& x) { return slice(x[0], 1, 2, 7); }},
      {"split",
       {{3, 6}},
       [](const Tensors& x) {
         const Tensors parts = split(x[0], 1, 3);
         return parts[0] * parts[2] + sin(parts[0]);
       }},
      {"concat",
       {{3, 2}, {3, 4}},
       [](const Tensors& x) {
         return concat({x[0], x[1], x[0]}, 1);
       }},
      {"pad", {{3, 2}}, [](const Tensors& x) { return pad(x[0], 1, 2, 3, 0.5); }},
      {"matmul",
       {{6, 5}, {7, 5}},
       [](const Tensors& x) { return matmul(x[0], x[1], "td,fd->tf"); }},
      {"matmul_plain",
       {{6, 5}, {5, 7}},
       [](const Tensors& x) { return matmul(x[0], x[1], "ij,jk->ik"); }},
      {"matmul_batched",
       {{2, 6, 5}, {2, 5, 7}},
       [](const Tensors& x) { return matmul(x[0], x[1], "bij,bjk->bik"); }},
      {"matmul_heads",
       {{6, 2, 5}, {7, 2, 5}},
       [](const Tensors& x) { return matmul(x[0], x[1], "ihd,jhd->hij"); }},
      {"linear", {{6, 5}, {7, 5}, {7}}, [](const Tensors& x) { return linear(x[0], x[1], x[2]); }},
      {"linear_gelu_residual",
       {{6, 5}, {7, 5}, {7}, {6, 7}},
       [](const Tensors& x) { return gelu(linear(x[0], x[1], x[2])) + x[3]; }},
      {"gather",
       {{6, 5}},
       [](const Tensors& x) {
         return gather(x[0], i32({4}, {3, 0, 3, 5}));
       }},
      {"scatter_add",
       {{4, 5}},
       [](const Tensors& x) {
         return scatter_add(x[0], i32({4}, {3, 0, 3, 5}), 6);
       }},
      {"scatter_rows",
       {{6, 5}, {3, 5}},
       [](const Tensors& x) {
         return scatter_rows(x[0], i32({3}, {4, -1, 0}), x[1]);
       }},
      {"softmax", {{3, 9}}, [](const Tensors& x) { return softmax(x[0]); }, -3, 3},
      {"layer_norm",
       {{4, 9}, {9}, {9}},
       [](const Tensors& x) { return layer_norm(x[0], x[1], x[2]); }},
      {"layer_norm_residual",
       {{4, 9}, {9}, {9}},
       [](const Tensors& x) { return layer_norm(x[0], x[1], x[2]) + x[0]; }},
      {"rms_norm", {{4, 9}, {9}}, [](const Tensors& x) { return rms_norm(x[0], x[1]); }},
      {"rope",
       {{7, 8}},
       [pos](const Tensors& x) {
         return rope(heads(x[0], 2), pos, angles(0), angles(-1.5707963));
       }},
      {"attention",
       {{7, 8}, {7, 8}, {7, 8}},
       [](const Tensors& x) {
         return attention(heads(x[0], 2), heads(x[1], 2), heads(x[2], 2), segments());
       }},
      {"attention_gqa_window",
       {{7, 16}, {7, 8}, {7, 8}},
       [](const Tensors& x) {
         return attention(heads(x[0], 4), heads(x[1], 2), heads(x[2], 2), segments(),
                          {.window = 2});
       }},
      {"attention_full",
       {{7, 8}, {7, 8}, {7, 8}},
       [](const Tensors& x) {
         return attention(heads(x[0], 2), heads(x[1], 2), heads(x[2], 2), segments(),
                          {.causal = false, .scale = 0.3});
       }},
      {"attention_packed",
       {{7, 24}},
       [](const Tensors& x) {
         const Tensors parts = split(x[0], 1, 3);
         return attention(heads(parts[0], 2), heads(parts[1], 2), heads(parts[2], 2), segments());
       }},
      {"linear_cross_entropy",
       {{5, 6}, {9, 6}},
       [](const Tensors& x) {
         return linear_cross_entropy(x[0], x[1], i32({5}, {3, 8, -1, 0, 3}), ones(x[0], 0)).loss;
       }},
      {"cross_entropy_per_token",
       {{5, 6}, {9, 6}},
       [](const Tensors& x) {
         const CrossEntropy e =
             linear_cross_entropy(x[0], x[1], i32({5}, {3, 8, -1, 0, 3}), ones(x[0], 0));
         return e.loss + sum(e.nll * e.nll);
       }},
      {"dropout", {{40}}, [](const Tensors& x) { return dropout(x[0], 0.3, rng(), "here"); }},
      {"checkpoint",
       {{3, 5}, {5}},
       [](const Tensors& x) {
         return checkpoint([](const Tensors& in) { return Tensors{tanh(in[0] * in[1]) * in[0]}; },
                           x)[0];
       }},
      {"stop_gradient",
       {{3, 5}},
       [](const Tensors& x) {
         return x[0] * 3.0 + stop_gradient(full({3, 5}, x[0].dtype(), 2));
       }},
  };
}

class Op : public testing::TestWithParam<OpCase> {};
class SmoothOp : public testing::TestWithParam<OpCase> {};

std::vector<OpCase> smooth_cases() {
  std::vector<OpCase> all = cases();
  std::erase_if(all, [](const OpCase& c) { return !c.smooth; });
  return all;
}

Tensors inputs(const OpCase& c) {
  Tensors x;
  for (size_t i = 0; i < c.shapes.size(); ++i)
    x.push_back(random_f64(c.shapes[i], i + 1, c.low, c.high));
  return x;
}
// A scalar that sees every element of y differently.
Tensor weighted(const Tensor& y) {
  return sum(y * random_f64(y.dims().max_shape(), 99));
}

TEST_P(Op, GradientIsTheDifferenceQuotient) {
  const OpCase& c = GetParam();
  const GradCheck check =
      check_gradient([&](const Tensors& x) { return weighted(c.f(x)); }, inputs(c));
  EXPECT_LT(check.relative_error, 1e-6) << check.analytic << " against " << check.numeric;
}

TEST_P(SmoothOp, SecondGradientIsTheDifferenceQuotient) {
  const OpCase& c = GetParam();
  const auto first = [&](const Tensors& x) {
    Tensor total = full({}, DType::f64, 0);
    const Tensor y = weighted(sin(c.f(x)));
    for (const Tensor& g : gradients(y, x)) total = total + weighted(g);
    return total;
  };
  const GradCheck check = check_gradient(first, inputs(c), 2);
  EXPECT_LT(check.relative_error, 1e-6) << check.analytic << " against " << check.numeric;
}

// Values and gradients of the fast kernels: within the dtype's bound of f64 on the same (rounded)
// inputs.
TEST_P(Op, FastKernelsAgreeWithF64) {
  const OpCase& c = GetParam();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Tensors exact, fast;
    for (const Tensor& x : inputs(c)) {
      fast.push_back(cast(x, dtype));
      exact.push_back(cast(fast.back(), DType::f64));
    }
    eval(fast), eval(exact);
    const auto run = [&](const Tensors& x) {
      Tensors all = jit([&](Tensors in) {
        const Tensor y = c.f(in);
        Tensors out{y};
        const Tensor w = cast(random_f64(y.dims().max_shape(), 99), y.dtype());
        for (const Tensor& g : vjp({y}, {w}, in)) out.push_back(g);
        return out;
      })(x);
      std::vector<std::vector<double>> values;
      for (const Tensor& t : all) values.push_back(t.to_vector<double>());
      return values;
    };
    const auto want = run(exact), got = run(fast);
    const double bound = dtype == DType::f32 ? 2e-5 : c.bf16_error;
    for (size_t i = 0; i < want.size(); ++i) {
      double top = 1e-3;
      for (const double v : want[i]) top = std::max(top, std::abs(v));
      for (size_t k = 0; k < want[i].size(); ++k)
        ASSERT_NEAR(got[i][k], want[i][k], bound * top)
            << dtype_name(dtype) << " result " << i << " element " << k;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SmoothOp, testing::ValuesIn(smooth_cases()),
                         [](const auto& i) { return i.param.name; });
INSTANTIATE_TEST_SUITE_P(All, Op, testing::ValuesIn(cases()),
                         [](const auto& i) { return i.param.name; });

}  // namespace
}  // namespace weft
