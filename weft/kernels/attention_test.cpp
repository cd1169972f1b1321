#include "tests/expect_error.h"
#include "weft/kernels/attention.h"

#include <limits>

#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

using testing::all_cpus;
using testing::expect_near;
using testing::from;
using testing::normal;
using testing::relative_distance;
using testing::same_bits;
using testing::widened;

struct Case {
  int dim, q_heads, kv_heads, rows;
  std::vector<AttentionSegment> segments;
  bool causal = true;
  int window = 0;
  double scale = 0;  // 0: 1 / sqrt(dim)
  float soft_cap = 0;

  std::string name() const {
    return format("dim {} heads {}/{} segments {} causal {} window {} scale {} cap {}", dim, q_heads,
                  kv_heads, segments.size(), causal, window, scale, soft_cap);
  }
};

// Self-attention of whole documents with these lengths, `gap` rows of padding after each.
std::vector<AttentionSegment> documents(const std::vector<int>& lengths, int gap = 0) {
  std::vector<AttentionSegment> segments;
  int at = 0;
  for (const int n : lengths) {
    segments.push_back({at, n, at, n});
    at += n + gap;
  }
  return segments;
}

std::vector<Case> cases() {
  return {
      {.dim = 64, .q_heads = 2, .kv_heads = 2, .rows = 200, .segments = documents({200})},
      {.dim = 32, .q_heads = 4, .kv_heads = 4, .rows = 192, .segments = documents({64, 64, 64})},
      {.dim = 128, .q_heads = 4, .kv_heads = 2, .rows = 210, .segments = documents({190, 7}, 5)},
      {.dim = 1, .q_heads = 1, .kv_heads = 1, .rows = 70, .segments = documents({70})},
      {.dim = 5, .q_heads = 3, .kv_heads = 1, .rows = 90, .segments = documents({33, 1, 40}, 4)},
      {.dim = 16,
       .q_heads = 4,
       .kv_heads = 1,
       .rows = 100,
       .segments = documents({99}),
       .causal = false},
      {.dim = 80, .q_heads = 2, .kv_heads = 1, .rows = 140, .segments = documents({65, 75})},
      {.dim = 256, .q_heads = 2, .kv_heads = 2, .rows = 96, .segments = documents({31, 65})},
      {.dim = 32,
       .q_heads = 2,
       .kv_heads = 1,
       .rows = 300,
       .segments = documents({300}),
       .window = 70},
      {.dim = 64,
       .q_heads = 1,
       .kv_heads = 1,
       .rows = 260,
       .segments = documents({250}),
       .causal = false,
       .window = 3},
      {.dim = 64,
       .q_heads = 1,
       .kv_heads = 1,
       .rows = 160,
       .segments = documents({160}),
       .scale = 5},
      // Fewer queries than keys, and more: queries before the first key see nothing.
      {.dim = 64,
       .q_heads = 2,
       .kv_heads = 2,
       .rows = 180,
       .segments = {{3, 40, 0, 100}, {50, 100, 110, 37}}},
      // Short documents, whose steps run on from one to the next, around a long one.
      {.dim = 32,
       .q_heads = 2,
       .kv_heads = 2,
       .rows = 534,
       .segments = documents({64, 64, 300, 2, 40, 64})},
      {.dim = 16, .q_heads = 2, .kv_heads = 2, .rows = 40, .segments = {}},
  };
}

// Inputs interleaved as a projection leaves them, [rows, q heads + 2 kv heads, dim], and results.
template <class T>
struct Problem {
  Case c;
  std::vector<T> qkv, d_o, o, d_qkv;
  std::vector<float> lse;

  explicit Problem(const Case& which) : c(which) {
    qkv = normal<T>(c.rows * row_stride(), 1);
    d_o = normal<T>(c.rows * c.q_heads * c.dim, 2);
    reset();
  }
  template <class From>
  explicit Problem(const Problem<From>& other) : c(other.c) {
    for (const From x : other.qkv) qkv.push_back(testing::to<T>(from(x)));
    for (const From x : other.d_o) d_o.push_back(testing::to<T>(from(x)));
    reset();
  }
  void reset() {
    o.assign(d_o.size(), testing::to<T>(77));
    d_qkv.assign(qkv.size(), testing::to<T>(77));
    lse.assign(size_t(c.rows * c.q_heads), 77);
  }

  int64_t row_stride() const { return (c.q_heads + 2 * c.kv_heads) * c.dim; }
  int64_t k_at() const { return c.q_heads * c.dim; }
  int64_t v_at() const { return k_at() + c.kv_heads * c.dim; }

  AttentionShape shape() const {
    return {.q_rows = c.rows,
            .kv_rows = c.rows,
            .q_heads = c.q_heads,
            .kv_heads = c.kv_heads,
            .head_dim = c.dim,
            .segments = c.segments.data(),
            .segment_count = int64_t(c.segments.size()),
            .causal = c.causal,
            .window = c.window,
            .scale = float(c.scale > 0 ? c.scale : 1 / std::sqrt(double(c.dim))),
            .soft_cap = c.soft_cap,
            .dtype = dtype_of<T>::value};
  }
  ConstHeadRows in(int64_t at) const { return {qkv.data() + at, row_stride(), c.dim}; }
  HeadRows out(int64_t at) { return {d_qkv.data() + at, row_stride(), c.dim}; }

  AttentionForward forward() {
    return {.shape = shape(),
            .q = in(0),
            .k = in(k_at()),
            .v = in(v_at()),
            .o = {o.data(), c.q_heads * c.dim, c.dim},
            .lse = lse.data()};
  }
  AttentionBackward backward() {
    return {.shape = shape(),
            .q = in(0),
            .k = in(k_at()),
            .v = in(v_at()),
            .o = {o.data(), c.q_heads * c.dim, c.dim},
            .d_o = {d_o.data(), c.q_heads * c.dim, c.dim},
            .lse = lse.data(),
            .dq = out(0),
            .dk = out(k_at()),
            .dv = out(v_at())};
  }
};

// Scratch is filled with NaN: nothing may be read before it is written.
void run(CpuDevice& cpu, AttentionForward params) {
  std::vector<float> scratch(
      attention_forward_scratch_bytes(params.shape, cpu.stream().threads()) / 4 + 16,
      std::numeric_limits<float>::quiet_NaN());
  params.scratch =
      reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
  cpu::attention_forward(cpu.stream(), params);
}
void run(CpuDevice& cpu, AttentionBackward params) {
  std::vector<float> scratch(
      attention_backward_scratch_bytes(params.shape, cpu.stream().threads()) / 4 + 16,
      std::numeric_limits<float>::quiet_NaN());
  params.scratch =
      reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
  cpu::attention_backward(cpu.stream(), params);
}

template <class T>
void run_both(CpuDevice& cpu, Problem<T>& p) {
  p.reset();
  run(cpu, p.forward());
  run(cpu, p.backward());
}

template <class T>
class AttentionOf : public ::testing::Test {};
using Types = ::testing::Types<float, bf16>;
TYPED_TEST_SUITE(AttentionOf, Types);

TYPED_TEST(AttentionOf, AgreesWithTheOracle) {
  CpuDevice cpu(2);
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name());
    Problem<TypeParam> p(c);
    Problem<double> exact(p);
    run_both(cpu, p);
    ref::attention_forward<double>(exact.forward());
    ref::attention_backward<double>(exact.backward());
    // Scores are rounded relative to their size, and a scale of 5 makes them large.
    const bool coarse = std::is_same_v<TypeParam, bf16>;
    const double sharp = c.scale > 0 ? 5 : 1, each = (coarse ? 0.006 : 5e-6) * sharp;
    expect_near(p.o, exact.o, each, 4 * each, "o");
    expect_near(p.d_qkv, exact.d_qkv, 4 * each, 12 * each * sharp, "gradients");
    for (size_t i = 0; i < p.lse.size(); ++i) {
      if (std::isinf(exact.lse[i]))
        EXPECT_EQ(p.lse[i], exact.lse[i]) << i;
      else
        EXPECT_NEAR(p.lse[i], exact.lse[i], coarse ? 2e-4 : 1e-5 * sharp) << i;
    }
    if (c.segments.empty()) continue;
    const double whole = (coarse ? 0.004 : 1e-6) * sharp;
    EXPECT_LT(relative_distance(widened(p.o), exact.o), whole);
    EXPECT_LT(relative_distance(widened(p.d_qkv), exact.d_qkv), 2 * whole);
  }
}

TYPED_TEST(AttentionOf, SameBitsOnAllMachinesAndThreads) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name());
    Problem<TypeParam> p(c), other(c);
    CpuDevice first(1, Isa::avx2);
    run_both(first, p);
    for (const auto& cpu : all_cpus()) {
      SCOPED_TRACE(cpu->description());
      run_both(*cpu, other);
      EXPECT_TRUE(same_bits(p.o, other.o));
      EXPECT_TRUE(same_bits(p.lse, other.lse));
      EXPECT_TRUE(same_bits(p.d_qkv, other.d_qkv));
    }
    CpuDevice many(7);
    run_both(many, other);
    EXPECT_TRUE(same_bits(p.o, other.o));
    EXPECT_TRUE(same_bits(p.d_qkv, other.d_qkv));
  }
}

// Each document alone, moved to row 0, against all of them in one call.
TYPED_TEST(AttentionOf, SameBitsAloneAndInABatch) {
  CpuDevice cpu(2);
  for (const Case& c : {Case{.dim = 64,
                       .q_heads = 4,
                       .kv_heads = 2,
                       .rows = 300,
                       .segments = documents({70, 130, 61}, 3)},
                        Case{.dim = 48,
                        .q_heads = 2,
                        .kv_heads = 2,
                        .rows = 300,
                        .segments = documents({33, 200, 1}, 3),
                        .window = 50}}) {
    SCOPED_TRACE(c.name());
    Problem<TypeParam> together(c);
    run_both(cpu, together);
    for (const AttentionSegment& s : c.segments) {
      Case alone = c;
      alone.rows = s.q_len, alone.segments = documents({s.q_len});
      Problem<TypeParam> p(alone);
      const auto copy = [&](const std::vector<TypeParam>& from, int64_t stride) {
        return std::vector<TypeParam>(from.begin() + s.q_begin * stride,
                                      from.begin() + (s.q_begin + s.q_len) * stride);
      };
      p.qkv = copy(together.qkv, p.row_stride());
      p.d_o = copy(together.d_o, c.q_heads * c.dim);
      run_both(cpu, p);
      EXPECT_TRUE(same_bits(p.o, copy(together.o, c.q_heads * c.dim)));
      EXPECT_TRUE(same_bits(p.d_qkv, copy(together.d_qkv, p.row_stride())));
    }
  }
}

// A sequence fed in pieces against a cache [slots, context, kv heads, dim] whose unused rows are
// NaN.
template <class T>
std::vector<T> in_pieces(CpuDevice& cpu, const Problem<T>& p, const std::vector<int>& pieces) {
  const Case& c = p.c;
  const int slots = 3, slot = 1, context = c.rows + 50;
  const int64_t row = c.kv_heads * c.dim;
  std::vector<T> keys(size_t(slots * context * row),
                      testing::to<T>(std::numeric_limits<double>::quiet_NaN()));
  std::vector<T> values = keys, o(size_t(c.rows * c.q_heads * c.dim));
  int done = 0;
  for (const int n : pieces) {
    for (int r = done; r < done + n; ++r)
      for (int64_t i = 0; i < row; ++i) {
        const size_t to = size_t((slot * context + r) * row + i);
        keys[to] = p.qkv[size_t(r * p.row_stride() + p.k_at() + i)];
        values[to] = p.qkv[size_t(r * p.row_stride() + p.v_at() + i)];
      }
    const AttentionSegment segment = {0, n, slot * context, done + n};
    AttentionForward f = {.shape = p.shape(),
                          .q = p.in(done * p.row_stride()),
                          .k = {keys.data(), row, c.dim},
                          .v = {values.data(), row, c.dim},
                          .o = {o.data() + done * c.q_heads * c.dim, c.q_heads * c.dim, c.dim}};
    f.shape.q_rows = n, f.shape.kv_rows = slots * context, f.shape.max_kv_len = context;
    f.shape.segments = &segment, f.shape.segment_count = 1;
    run(cpu, f);
    done += n;
  }
  return o;
}

TYPED_TEST(AttentionOf, SameBitsWholeInChunksAndTokenByToken) {
  for (const Case& c :
       {Case{.dim = 64, .q_heads = 4, .kv_heads = 2, .rows = 150, .segments = documents({150})},
        Case{.dim = 32,
        .q_heads = 2,
        .kv_heads = 2,
        .rows = 140,
        .segments = documents({140}),
        .scale = 2},
        Case{.dim = 24,
        .q_heads = 3,
        .kv_heads = 1,
        .rows = 140,
        .segments = documents({140}),
        .window = 66}})
    for (const auto& cpu : all_cpus()) {
      SCOPED_TRACE(c.name() + ", " + cpu->description());
      Problem<TypeParam> p(c);
      run(*cpu, p.forward());
      EXPECT_TRUE(same_bits(p.o, in_pieces(*cpu, p, {c.rows - 93, 1, 64, 28})));
      EXPECT_TRUE(same_bits(p.o, in_pieces(*cpu, p, std::vector<int>(size_t(c.rows), 1))));
    }
}

// A decode step of several sequences, unused entries of the batch among them.
TYPED_TEST(AttentionOf, DecodesABatchLikeEachSequenceAlone) {
  const Case c = {.dim = 64, .q_heads = 4, .kv_heads = 2, .rows = 400, .segments = {}};
  Problem<TypeParam> p(c);
  const std::vector<AttentionSegment> segments = {
      {0, 1, 200, 131}, {1, 1, 0, 64}, {2, 0, 0, 0}, {3, 1, 70, 1}, {4, 3, 100, 65}};
  const auto decode = [&](CpuDevice& cpu, const AttentionSegment* s, int64_t count) {
    p.reset();
    AttentionForward f = p.forward();
    f.shape.segments = s, f.shape.segment_count = count;
    run(cpu, f);
  };
  for (const auto& cpu : all_cpus()) {
    SCOPED_TRACE(cpu->description());
    decode(*cpu, segments.data(), int64_t(segments.size()));
    const std::vector<TypeParam> together = p.o;
    EXPECT_EQ(from(together[2 * 4 * 64]), 0);
    for (const AttentionSegment& s : segments) {
      decode(*cpu, &s, 1);
      const auto begin = s.q_begin * 4 * 64, end = begin + s.q_len * 4 * 64;
      EXPECT_TRUE(std::equal(p.o.begin() + begin, p.o.begin() + end, together.begin() + begin));
    }
  }
}

TEST(Attention, OracleGradientsAreThoseOfItsForwardPass) {
  for (const Case& c :
       {Case{.dim = 3, .q_heads = 4, .kv_heads = 2, .rows = 12, .segments = documents({5, 6}, 1)},
        Case{.dim = 2,
        .q_heads = 2,
        .kv_heads = 2,
        .rows = 9,
        .segments = documents({9}),
        .window = 4},
        Case{.dim = 3,
        .q_heads = 2,
        .kv_heads = 1,
        .rows = 8,
        .segments = documents({8}),
        .soft_cap = 0.7f},
        Case{.dim = 2,
        .q_heads = 1,
        .kv_heads = 1,
        .rows = 9,
        .segments = {{1, 3, 2, 7}},
        .causal = false}}) {
    SCOPED_TRACE(c.name());
    Problem<double> p(c);
    const auto loss = [&] {
      ref::attention_forward<double>(p.forward());
      return testing::dot(p.o, p.d_o);
    };
    const std::vector<double> want = testing::differences(p.qkv, loss);
    ref::attention_backward<double>(p.backward());
    expect_near(p.d_qkv, want, 1e-6, 1e-8, "gradient");
  }
}

TEST(Attention, SoftCapsAreRefusedOnTheCpu) {
  AttentionShape shape = {.q_rows = 8, .kv_rows = 8, .q_heads = 1, .kv_heads = 1, .head_dim = 64};
  shape.soft_cap = 30;
  EXPECT_ERROR(user, "soft cap of 30", attention_forward_scratch_bytes(shape, 1));
  EXPECT_ERROR(user, "soft cap of 30", attention_backward_scratch_bytes(shape, 1));
}

TEST(Attention, ScratchIsLinearInTheLengthAndTheThreads) {
  AttentionShape shape = {
      .q_rows = 1024, .kv_rows = 1024, .q_heads = 12, .kv_heads = 12, .head_dim = 64};
  const auto forward = [&] { return attention_forward_scratch_bytes(shape, 1); };
  const auto backward = [&] { return attention_backward_scratch_bytes(shape, 1); };
  const size_t f1 = forward(), b1 = backward();
  shape.q_rows = shape.kv_rows = 2048;
  const size_t f2 = forward(), b2 = backward();
  shape.q_rows = shape.kv_rows = 3072;
  EXPECT_EQ(forward() - f2, f2 - f1);
  EXPECT_EQ(backward() - b2, b2 - b1);
  EXPECT_EQ(attention_forward_scratch_bytes(shape, 3), 3 * forward());
  shape.max_kv_len = shape.max_q_len = 1024;
  EXPECT_EQ(forward(), f1);
  EXPECT_EQ(backward(), b1);
}

}  // namespace
}  // namespace weft::kernels
