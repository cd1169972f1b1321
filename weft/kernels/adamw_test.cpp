#include "weft/kernels/adamw.h"

#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

using namespace testing;

template <class T>
struct Case {
  std::vector<T> param, m, v, grad;
  std::vector<bf16> copy;
  float scale = 0.75f;
  AdamWHyper hyper = adamw_hyper(1e-3, 0.9, 0.95, 3);

  explicit Case(int64_t n)
      : param(normal<T>(n, 1)),
        m(normal<T>(n, 2, 0.1)),
        v(normal<T>(n, 3)),
        grad(normal<T>(n, 4)),
        copy(size_t(n)) {
    for (T& value : v) value = std::abs(value) * T(0.01);
  }
  AdamW params() {
    AdamW p;
    p.n = int64_t(param.size()), p.dtype = dtype_of<T>::value, p.weight_decay = 0.1;
    p.param = p.param_out = param.data(), p.m = p.m_out = m.data(), p.v = p.v_out = v.data();
    p.grad = grad.data(), p.scale = &scale, p.hyper = &hyper.lr, p.param_bf16_out = copy.data();
    return p;
  }
  bool same(const Case& c) const {
    return same_bits(param, c.param) && same_bits(m, c.m) && same_bits(v, c.v) &&
           same_bits(copy, c.copy);
  }
};

TEST(AdamW, AgreesWithF64AndAcrossMachines) {
  for (const int64_t n : {1, 15, 33, 1000, 5000}) {
    Case<float> first(n), rounded(n);
    Case<double> want(n);
    want.param = widened(first.param), want.grad = widened(first.grad);
    want.m = widened(first.m), want.v = widened(first.v);
    ref::adamw<double>(want.params());
    ref::adamw<float>(rounded.params());
    cpu::adamw(all_cpus()[0]->stream(), first.params());
    for (const auto& cpu : all_cpus()) {
      Case<float> c(n);
      cpu::adamw(cpu->stream(), c.params());
      EXPECT_TRUE(c.same(first)) << n << " on " << cpu->description();
    }
    // Bounds: three roundings of m's and four of v's terms, which are below 1; u is below 10 and lr
    // 1e-3.
    for (const Case<float>& c : {first, rounded}) {
      expect_near(c.m, want.m, 2e-7, 1e-7, "m");
      expect_near(c.v, want.v, 3e-7, 0, "v");
      expect_near(c.param, want.param, 1e-7, 1e-8, "param");
      for (size_t i = 0; i < c.copy.size(); ++i) EXPECT_EQ(c.copy[i].bits, bf16(c.param[i]).bits);
    }
  }
}

TEST(AdamW, OutOfPlaceGivesTheSame) {
  CpuDevice cpu(1);
  Case<float> in_place(37), apart(37), out(37);
  cpu::adamw(cpu.stream(), in_place.params());
  AdamW p = apart.params();
  p.param_out = out.param.data(), p.m_out = out.m.data(), p.v_out = out.v.data(),
  p.param_bf16_out = out.copy.data();
  cpu::adamw(cpu.stream(), p);
  EXPECT_TRUE(out.same(in_place));
  EXPECT_TRUE(same_bits(apart.param, Case<float>(37).param));
}

// Known by hand: with m = v = 0 the first step moves by lr times the sign of the gradient, after
// the decay.
TEST(AdamW, FirstStepMovesByTheLearningRate) {
  CpuDevice cpu(1);
  Case<float> c(20);
  c.m.assign(20, 0), c.v.assign(20, 0), c.param.assign(20, 2);
  c.hyper = adamw_hyper(0.5, 0.9, 0.95, 1);
  cpu::adamw(cpu.stream(), c.params());
  for (size_t i = 0; i < 20; ++i)
    EXPECT_NEAR(c.param[i], 2 - 0.5 * 0.1 * 2 - 0.5 * (c.grad[i] > 0 ? 1 : -1), 1e-4);
}

TEST(AdamW, NotANumberStaysInItsElement) {
  for (const auto& cpu : all_cpus()) {
    Case<float> c(40);
    c.grad[17] = std::nanf(""), c.grad[39] = INFINITY;
    cpu::adamw(cpu->stream(), c.params());
    for (size_t i = 0; i < 40; ++i) EXPECT_EQ(std::isnan(c.param[i]), i == 17 || i == 39) << i;
  }
}

}  // namespace
}  // namespace weft::kernels
