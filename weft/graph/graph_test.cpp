#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

#include "weft/graph/jit.h"
#include "weft/graph/passes.h"

namespace weft {
namespace {

Tensor f32(const Shape& shape, const std::vector<float>& values) {
  return Tensor(Array::from<float>(default_device(), shape, values));
}
std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Tensor, IsLazyAndRemembersItsValue) {
  const Tensor x = f32({3}, {1, 2, 3});
  const Tensor y = x * x + 1.0;
  EXPECT_FALSE(y.has_value());
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{2, 5, 10}));
  EXPECT_TRUE(y.has_value());
  EXPECT_EQ((y - x).to_vector<float>(), (std::vector<float>{1, 3, 7}));
}

TEST(Tensor, ShapeErrorsThrowAtTheCallAndSayWhatWasExpected) {
  const Tensor a = f32({2, 3}, {1, 2, 3, 4, 5, 6}), b = f32({2}, {1, 2});
  EXPECT_EQ(message([&] { a + b; }), "[add] shapes [2, 3] and [2] do not broadcast");
  EXPECT_EQ(message([&] { matmul(a, a, "ij,jk->ik"); }),
            "[matmul] \"ij,jk->ik\" has two sizes of j: f32[2, 3] and f32[2, 3]");
  EXPECT_EQ(message([&] { a + cast(a, DType::bf16); }),
            "[add] expected one dtype, got f32[2, 3] and bf16[2, 3]; cast one of them");
  EXPECT_EQ(message([&] { slice(a, 1, 2, 5); }),
            "[slice] [2, 5) of axis 1 does not lie in f32[2, 3]");
  EXPECT_EQ(message([&] {
              gather(a,
                     Tensor(Array::from<int32_t>(default_device(), {1}, std::vector<int32_t>{2})))
                  .value();
            }),
            "[gather] index 2 at position 0 is not a row of the table of 2");
}

TEST(Tensor, ALongChainOfPendingNodesIsFreedWithoutRecursion) {
  Tensor x = f32({1}, {0});
  for (int i = 0; i < 300000; ++i) x = -x;
}

TEST(Jit, TracesOncePerSignature) {
  auto f = jit([](Tensor x) { return sum(x * x); });
  EXPECT_EQ(f(f32({2}, {3, 4})).item(), 25);
  EXPECT_EQ(f(f32({2}, {1, 1})).item(), 2);
  EXPECT_EQ(f(f32({3}, {1, 1, 1})).item(), 3);
  EXPECT_EQ(f.traces(), 2u);
}

TEST(Jit, OneExecutableServesEverySymbolicLength) {
  auto f = jit([](Tensor x, Tensor w) { return softmax(matmul(x, w, "td,fd->tf")); });
  const Symbol tokens("tokens", 8);
  const Tensor w = f32({2, 2}, {1, 0, 0, 1});
  for (int n = 1; n <= 8; ++n) {
    const Tensor x = f32({n, 2}, std::vector<float>(size_t(2 * n), 0.5f));
    const Tensor y = f(symbolic(x, 0, tokens), w);
    EXPECT_EQ(y.dims(), (Dims{n, 2}));
    EXPECT_EQ(y.to_vector<float>(), std::vector<float>(size_t(2 * n), 0.5f));
  }
  EXPECT_EQ(f.traces(), 1u);
  EXPECT_EQ(message([&] {
              symbolic(f32({9, 2}, std::vector<float>(18)), 0, tokens);
            }),
            "tokens is 9, above its maximum 8");
}

struct State {
  Params params;
  Tensor count;
  template <class F>
  void each(F&& f) {
    f(params), f(count);
  }
};

TEST(Jit, DonatedStateIsUpdatedInPlaceAndItsOldHandleIsAnError) {
  auto step = jit(
      [](State s, Tensor g) {
        s.params["w"] = s.params["w"] - g * 0.5;
        s.count = s.count + 1.0;
        return s;
      },
      donate(0));
  State s{{{"w", f32({2}, {1, 2})}}, f32({}, {0})};
  const Tensor old = s.params["w"];
  const std::byte* bytes = old.value().data();
  s = step(s, f32({2}, {2, 2}));
  EXPECT_EQ(s.params["w"].value().data(), bytes);
  EXPECT_EQ(s.params["w"].to_vector<float>(), (std::vector<float>{0, 1}));
  EXPECT_NE(message([&] { old.value(); }).find("was donated to a jit call"), std::string::npos);
  EXPECT_NE(message([&] { old + old; }).find("was donated"), std::string::npos);
  for (int i = 0; i < 3; ++i) s = step(s, f32({2}, {2, 2}));
  EXPECT_EQ(s.count.item(), 4);
}

TEST(Jit, ADonatedBufferThatSomebodyElseHoldsIsNotOverwritten) {
  auto step = jit([](Tensor x) { return x + 1.0; }, donate(0));
  const Array held = Array::from<float>(default_device(), {2}, std::vector<float>{1, 2});
  EXPECT_EQ(step(Tensor(held)).to_vector<float>(), (std::vector<float>{2, 3}));
  EXPECT_EQ(held.to_vector<float>(), (std::vector<float>{1, 2}));
}

TEST(Jit, ADonatedHandleGivenAwayCarriesTheResultUnlessSomethingReadsIt) {
  auto halves = jit([](Tensor x) { return slice(x, 0, 0, 1); }, donate(0));
  Tensor x = f32({2}, {3, 4});
  const Node* node = x.node().get();
  const Tensor y = halves(std::move(x));
  EXPECT_EQ(y.node().get(), node);
  EXPECT_EQ(y.dims(), Dims{1});
  EXPECT_EQ((y + y).item(), 6);

  Tensor read = f32({2}, {3, 4});
  const Tensor pending = read + read;
  EXPECT_EQ(halves(std::move(read)).item(), 3);
  EXPECT_NE(message([&] { pending.value(); }).find("was donated to a jit call"), std::string::npos);
}

TEST(Jit, NothingIsAllocatedAfterTheFirstSteps) {
  auto step = jit(
      [](State s, Tensor x) {
        auto loss = [&](const Params& p) { return sum(gelu(linear(x, p.at("w"), p.at("b")))); };
        auto [l, g] = value_and_grad(loss)(s.params);
        for (auto& [path, p] : s.params) p = p - g.at(path) * 0.1;
        return std::pair(s, l);
      },
      donate(0));
  State s{{{"w", f32({4, 3}, std::vector<float>(12, 0.1f))}, {"b", f32({4}, {1, 2, 3, 4})}},
          f32({}, {0})};
  const Tensor x = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  Tensor loss;
  const auto run = [&] { std::tie(s, loss) = step(s, x); };
  for (int i = 0; i < 3; ++i) run();
  const int64_t before = default_device().memory().allocations;
  for (int i = 0; i < 10; ++i) run();
  EXPECT_EQ(default_device().memory().allocations, before);
}

TEST(Jit, TheMemoryPlanIsWhatARunAllocates) {
  Device& device = default_device();
  const Shape shape{256, 64};
  const std::vector<float> values(256 * 64, 0.01f);
  Tensor x = f32(shape, values), w = f32({64, 64}, std::vector<float>(64 * 64, 0.02f));
  auto f = jit([](Tensor a, Tensor b) {
    Tensor h = a;
    for (int i = 0; i < 4; ++i) h = tanh(matmul(h, b, "td,fd->tf")) + softmax(h);
    return grad([&](const Tensor& p) { return sum(matmul(h, p, "td,fd->tf")); })(b);
  });
  device.reset_peak();
  const int64_t live = device.memory().live_bytes;
  Tensor y = f(x, w);
  const MemoryPlan& plan = f.executable()->memory();
  const double measured = double(device.memory().peak_bytes - live),
               planned = double(plan.arena_bytes + plan.output_bytes);
  EXPECT_NEAR(measured / planned, 1.0, 0.01);
  EXPECT_LE(double(plan.arena_bytes), 1.05 * double(plan.lower_bound));
}

std::vector<float> wave(size_t n, double phase) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; ++i) v[i] = float(std::sin(double(i) * 0.7 + phase));
  return v;
}

TEST(Passes, FusingChangesNoBit) {
  const Tensors in{f32({9, 16}, wave(144, 0)), f32({16, 16}, wave(256, 1)), f32({16}, wave(16, 2)),
                   f32({48, 16}, wave(768, 3))};
  const Tensor x = cast(in[0], DType::bf16), w = cast(in[1], DType::bf16),
               b = cast(in[2], DType::bf16);
  const int32_t whole[] = {0, 9, 0, 9};
  const Tensor segments(Array::from<int32_t>(default_device(), {1, 4}, whole));
  Tensors heads = split(linear(x, cast(in[3], DType::bf16)), 1, 3);
  for (Tensor& t : heads) t = reshape(t, {9, 2, 8});
  const Tensor h = gelu(linear(x, w, b)) + x,
               o = reshape(attention(heads[0], heads[1], heads[2], segments), {9, 16});
  const Tensor y = o + layer_norm(h, b, b) * 0.7 + tanh(h) / 3.0 + linear(h, w) +
                   linear(gelu(linear(h, w, b)), w * 0.5);
  Tensors out = gradients(sum(cast(y, DType::f32)), in);
  out.push_back(y);
  Tensors leaves;
  const Graph g = build_graph(out, in, leaves);
  std::vector<Array> inputs;
  for (const Tensor& t : leaves) inputs.push_back(t.value());
  Executable fused(g, default_device()), plain(g, default_device(), {.fuse = false});
  EXPECT_LT(fused.kernel_count(), plain.kernel_count());
  for (const char* what : {"gelu=", "slope=", "by_slope=", "residual=", "joined="})
    EXPECT_NE(fused.graph().str().find(what), std::string::npos) << what;
  const std::vector<Array> a = fused.run(inputs), c = plain.run(inputs);
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_EQ(std::memcmp(a[i].data(), c[i].data(), a[i].bytes()), 0) << i;
}

TEST(Passes, PrintEveryStage) {
  const Tensor x = placeholder({DType::f32, {4, 8}}), w = placeholder({DType::f32, {8, 8}});
  Tensors leaves;
  Graph g = build_graph({gelu(matmul(x, w, "td,fd->tf")) * 2.0 + x}, {x, w}, leaves);
  std::string trace;
  run_passes(g, DeviceKind::cpu, {.trace = &trace});
  EXPECT_NE(trace.find("--- after expand_composites"), std::string::npos);
  EXPECT_NE(trace.find("--- after fuse_pointwise"), std::string::npos);
  EXPECT_EQ(g.nodes.size(), 2u) << g.str();  // the product with gelu, one region
}

TEST(Jvp, IsTheDirectionalDerivative) {
  const Tensors x{f32({2}, {0.5f, 2})};
  const auto f = [](const Tensors& in) { return Tensors{sin(in[0]) * in[0]}; };
  const Tensors t{f32({2}, {1, -1})};
  const std::vector<float> got = jvp(f, x, t)[0].to_vector<float>();
  for (size_t i = 0; i < 2; ++i) {
    const double v = i ? 2 : 0.5;
    EXPECT_NEAR(got[i], (std::cos(v) * v + std::sin(v)) * (i ? -1 : 1), 1e-5);
  }
}

TEST(Checkpoint, RecomputesInsteadOfKeeping) {
  const auto block = [](const Tensors& in) {
    Tensor h = in[0];
    for (int i = 0; i < 6; ++i) h = tanh(h * 1.5) + exp(-(h * h));
    return Tensors{h};
  };
  const Tensor x = f32({1024}, std::vector<float>(1024, 0.3f));
  const auto run = [&](bool recompute) {
    auto f = jit([&](Tensor v) {
      return grad([&](const Tensor& p) {
        Tensor h = p;
        for (int i = 0; i < 4; ++i) h = recompute ? checkpoint(block, {h})[0] : block({h})[0];
        return sum(h);
      })(v);
    });
    const std::vector<float> g = f(x).to_vector<float>();
    return std::pair(g, f.executable()->memory().arena_bytes);
  };
  const auto [plain, plain_bytes] = run(false);
  const auto [again, again_bytes] = run(true);
  EXPECT_EQ(plain, again);
  EXPECT_LT(again_bytes, plain_bytes);
}

// The same bits, of sizes that fill no panel, for one row and for many.
TEST(PackedMatrix, ProductsReadIt) {
  for (const DType dtype : {DType::bf16, DType::f32})
    for (const int64_t rows : {1, 5, 70}) {
      std::vector<float> xs(size_t(rows * 50)), ws(77 * 50);
      for (size_t i = 0; i < xs.size(); ++i) xs[i] = float(i % 13) * 0.17f - 1;
      for (size_t i = 0; i < ws.size(); ++i) ws[i] = float(i % 29) * 0.07f - 1;
      const Tensor x = cast(f32({rows, 50}, xs), dtype), w = cast(f32({77, 50}, ws), dtype),
                   bias = cast(f32({77}, std::vector<float>(77, 0.3f)), dtype);
      const Tensor packed = pack_matrix(w);
      auto f = jit([&](Tensor a) { return linear(a, packed, bias); });
      EXPECT_EQ(f(x).to_vector<float>(), linear(x, w, bias).to_vector<float>());
      auto g = jit([&](Tensor a) { return matmul(a, packed, "rd,vd->rv", DType::f32); });
      EXPECT_EQ(g(x).to_vector<float>(), matmul(x, w, "rd,vd->rv", DType::f32).to_vector<float>());
    }
}

TEST(PackedMatrix, NobodyElseDoes) {
  const Tensor packed = pack_matrix(f32({2, 3}, {1, 2, 3, 4, 5, 6}));
  auto f = jit([&](Tensor x) { return packed + x; });
  EXPECT_THROW(f(f32({2, 3}, {0, 0, 0, 0, 0, 0})), Error);
  auto g = jit([&](Tensor x) { return matmul(packed, x, "ab,cb->ac"); });
  EXPECT_THROW(g(f32({2, 3}, {0, 0, 0, 0, 0, 0})), Error);
}

}  // namespace
}  // namespace weft
