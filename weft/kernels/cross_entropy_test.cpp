#include "weft/kernels/cross_entropy.h"

#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

using namespace testing;

template <class T, class S>
struct Case {
  int64_t tokens, width, vocab;
  bool gradients = true;
  std::vector<T> x, w, dx;
  std::vector<S> weights, nll, dw, loss = {S(-1)};
  std::vector<int32_t> targets;
  int32_t bad = -2;

  Case(int64_t t, int64_t d, int64_t v) : tokens(t), width(d), vocab(v) {
    x = normal<T>(t * d, 1), w = normal<T>(v * d, 2, 0.3);
    weights = normal<S>(t, 3, 0.1 / double(t), 1 / double(t));
    for (int64_t i = 0; i < t; ++i) targets.push_back(i % 7 == 5 ? -1 : int32_t(i * 31 % v));
    resize();
  }
  template <class U, class V>
  explicit Case(const Case<U, V>& c)
      : tokens(c.tokens),
        width(c.width),
        vocab(c.vocab),
        x(widened(c.x)),
        w(widened(c.w)),
        weights(widened(c.weights)),
        targets(c.targets) {
    resize();
  }
  void resize() { dx.resize(x.size()), dw.resize(w.size()), nll.resize(targets.size()); }
  LinearCrossEntropy params() {
    LinearCrossEntropy p;
    p.tokens = tokens, p.width = width, p.vocab = vocab, p.dtype = dtype_of<T>::value;
    p.x = x.data(), p.w = w.data(), p.targets = targets.data(), p.weights = weights.data();
    p.loss = loss.data(), p.nll = nll.data(), p.bad = &bad;
    if (gradients) p.dx = dx.data(), p.dw = dw.data();
    return p;
  }
  void run(CpuStream& stream) { run(stream, params()); }
  void run(CpuStream& stream, LinearCrossEntropy p) {
    const BufferPtr scratch =
        stream.device().allocate(linear_cross_entropy_scratch_bytes(p, stream.threads()));
    p.scratch = scratch->data();
    cpu::linear_cross_entropy(stream, p);
  }
  bool same(const Case& c) const {
    return same_bits(loss, c.loss) && same_bits(nll, c.nll) && same_bits(dx, c.dx) &&
           same_bits(dw, c.dw);
  }
};

// Bounds. nll: 1e-5 for logits below 30 from f32 sums. dlogits of a token: at most 2 weights in
// all, each rounded to T (half an ulp) from an exp of a logit with an error of 1e-5; |w| < 1.1 and
// |x| < 3.5.
template <class T>
void compare_with_f64(int64_t tokens, int64_t width, int64_t vocab) {
  const std::string what =
      format("{} [{}, {}, {}]", dtype_name(dtype_of<T>::value), tokens, width, vocab);
  Case<T, float> first(tokens, width, vocab), rounded = first;
  Case<double, double> want(first);
  ref::linear_cross_entropy<double>(want.params());
  ref::linear_cross_entropy<T>(rounded.params());
  first.run(all_cpus()[0]->stream());
  const double ulp = half_ulp<T>();
  for (const Case<T, float>& c : {first, rounded}) {
    EXPECT_NEAR(c.loss[0], want.loss[0], 1e-5) << what;
    EXPECT_EQ(c.bad, -1);
    expect_near(c.nll, want.nll, 1e-6, 1e-5, what + " nll");
    expect_near(c.dx, want.dx, ulp, (ulp + 1e-5) * 2.8 / double(tokens), what + " dx");
    expect_near(c.dw, want.dw, 0, (ulp + 1e-5) * 4, what + " dw");
  }
  for (const auto& cpu : all_cpus()) {
    Case<T, float> c(tokens, width, vocab);
    c.run(cpu->stream());
    EXPECT_TRUE(c.same(first)) << what << " on " << cpu->description();
  }
}

TEST(LinearCrossEntropy, AgreesWithF64AndAcrossMachines) {
  for (const auto& [tokens, width, vocab] :
       {std::tuple{1, 7, 1}, {70, 33, 65}, {33, 16, 1000}, {5, 128, 333}}) {
    compare_with_f64<float>(tokens, width, vocab);
    compare_with_f64<bf16>(tokens, width, vocab);
  }
}

// More than one chunk, the last a short one.
TEST(LinearCrossEntropy, ManyChunks) {
  const int64_t tokens = cross_entropy_chunk + 11;
  compare_with_f64<float>(tokens, 8, 65);
  compare_with_f64<bf16>(tokens, 8, 65);
}

// More than one part of the vocabulary, the last a short one.
TEST(LinearCrossEntropy, ManyParts) {
  ASSERT_LT(cross_entropy_part(2077), 2077);
  compare_with_f64<float>(40, 24, 2077);
  compare_with_f64<bf16>(40, 24, 2077);
}

TEST(LinearCrossEntropy, TokenAloneHasTheNllOfABatchAndWithoutGradientsToo) {
  for (const auto& cpu : all_cpus()) {
    Case<bf16, float> all(40, 48, 100), alone(1, 48, 100), plain(40, 48, 100);
    all.run(cpu->stream());
    for (const int64_t t : {0, 17, 39}) {
      alone.x.assign(all.x.begin() + t * 48, all.x.begin() + (t + 1) * 48);
      alone.targets = {all.targets[size_t(t)]}, alone.weights = {all.weights[size_t(t)]};
      alone.run(cpu->stream());
      EXPECT_EQ(alone.nll[0], all.nll[size_t(t)]);
      EXPECT_TRUE(same_bits(
          alone.dx, std::vector<bf16>(all.dx.begin() + t * 48, all.dx.begin() + (t + 1) * 48)));
    }
    plain.gradients = false;
    LinearCrossEntropy p = plain.params();
    p.nll = nullptr;
    plain.run(cpu->stream(), p);
    EXPECT_EQ(plain.loss[0], all.loss[0]);
  }
}

TEST(LinearCrossEntropy, IgnoredAndBadTargets) {
  CpuDevice cpu(1);
  Case<float, float> c(6, 5, 11), rounded(6, 5, 11);
  c.targets = rounded.targets = {3, -1, 11, -100, 2000000000, 10};
  c.run(cpu.stream());
  ref::linear_cross_entropy<float>(rounded.params());
  EXPECT_EQ(c.bad, 2);
  EXPECT_EQ(rounded.bad, 2);
  for (size_t t = 1; t < 5; ++t) {
    EXPECT_EQ(c.nll[t], 0);
    for (size_t i = 0; i < 5; ++i) EXPECT_EQ(c.dx[t * 5 + i], 0);
  }
  EXPECT_NEAR(c.loss[0], rounded.loss[0], 1e-6);
  EXPECT_NEAR(c.loss[0], c.nll[0] * c.weights[0] + c.nll[5] * c.weights[5], 1e-6);
  c.targets.assign(6, -1);
  c.run(cpu.stream());
  EXPECT_EQ(c.loss[0], 0);
  EXPECT_EQ(c.bad, -1);
  EXPECT_EQ(c.dw, std::vector<float>(5 * 11, 0.0f));
}

TEST(LinearCrossEntropy, NotANumberStaysInItsToken) {
  for (const auto& cpu : all_cpus())
    for (const float bad : {std::nanf(""), INFINITY}) {
      Case<float, float> c(5, 6, 20);
      c.targets = {1, 2, 3, 4, 5};
      c.x[2 * 6 + 1] = bad;
      c.run(cpu->stream());
      for (size_t t = 0; t < 5; ++t) EXPECT_EQ(std::isnan(c.nll[t]), t == 2);
      for (size_t i = 0; i < 30; ++i) EXPECT_EQ(std::isnan(c.dx[i]), i / 6 == 2);
      EXPECT_TRUE(std::isnan(c.loss[0]));
    }
}

TEST(LinearCrossEntropy, GradientIsTheDifferenceQuotient) {
  Case<double, double> c(8, 5, 9);
  const auto loss = [&] {
    ref::linear_cross_entropy<double>(c.params());
    return c.loss[0];
  };
  loss();
  const std::vector<double> dx = c.dx, dw = c.dw;
  EXPECT_LT(relative_distance(dx, differences(c.x, loss)), 1e-6);
  EXPECT_LT(relative_distance(dw, differences(c.w, loss)), 1e-6);
}

}  // namespace
}  // namespace weft::kernels
