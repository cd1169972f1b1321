// Every product here is compared bitwise with a scalar model of what the instruction set defines,
// on every instruction set and thread count; a few with the f64 oracle, to check the model.
#define WEFT_ISA avx2  // this file is compiled as the AVX2 kernels are, and borrows their GELU
#include "weft/kernels/matmul.h"

#include <cstdio>
#include <limits>

#include "weft/kernels/cpu/vmath.h"
#include "weft/kernels/matmul_plan.h"
#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

using namespace testing;

// How an operand lies in memory, seen from the product.
enum class Lies { k_inside, k_outside };  // k contiguous; or rows of A, columns of B contiguous

struct Form {
  const char* name;
  Lies a, b;
};
const Form forms[] = {{"forward", Lies::k_inside, Lies::k_inside},
                      {"input gradient", Lies::k_inside, Lies::k_outside},
                      {"weight gradient", Lies::k_outside, Lies::k_outside},
                      {"both turned", Lies::k_outside, Lies::k_inside}};

struct Sizes {
  int64_t m, n, k, batch = 1;
};

// One product with its operands. In: bf16 or float. Rows of memory are `gap` longer than needed.
template <class In, class Out>
struct Case {
  Sizes s;
  Form form;
  bool packed = false, bias = false, gelu = false, keep = false, times = false, residual = false,
       add = false;
  int64_t cut = -1;  // not negative: `halves` is asked for, and K is cut there, or at 0 not at all
  int64_t gap = 0;
  std::vector<In> a, b, bias_values;
  std::vector<Out> start, residual_values;

  Case(const Sizes& sizes, const Form& f, int64_t g = 0) : s(sizes), form(f), gap(g) {
    a = normal<In>(s.batch * (s.m + gap) * (s.k + gap), 1);
    b = normal<In>(s.batch * (s.n + gap) * (s.k + gap), 2, 0.3);
    bias_values = normal<In>(s.n, 3);
    start = normal<Out>(c_batch() * s.batch, 4);
    residual_values = normal<Out>(c_batch() * s.batch, 5);
  }
  int64_t c_row() const { return s.n + gap; }
  int64_t c_batch() const { return (s.m + gap) * c_row(); }

  MatmulOperand operand_a() const {
    if (form.a == Lies::k_inside) return {a.data(), s.k + gap, 1, (s.m + gap) * (s.k + gap), false};
    return {a.data(), 1, s.m + gap, (s.m + gap) * (s.k + gap), false};
  }
  MatmulOperand operand_b() const {
    if (form.b == Lies::k_inside) return {b.data(), 1, s.k + gap, (s.n + gap) * (s.k + gap), false};
    return {b.data(), s.n + gap, 1, (s.n + gap) * (s.k + gap), false};
  }
  Matmul params() const {
    Matmul p;
    p.batch = s.batch, p.m = s.m, p.n = s.n, p.k = s.k;
    p.in = dtype_of<In>::value, p.out = dtype_of<Out>::value;
    p.a = operand_a(), p.b = operand_b();
    p.c_row_stride = c_row(), p.c_batch_stride = c_batch();
    p.accumulate = add, p.halves = cut >= 0;
    if (bias) p.bias = bias_values.data();
    if (gelu) p.activation = Matmul::gelu_tanh;
    if (times) p.activation = Matmul::times_slope;
    if (residual) p.residual = residual_values.data();
    p.residual_row_stride = c_row(), p.residual_batch_stride = c_batch();
    return p;
  }
};

template <class Out>
struct Result {
  std::vector<Out> c, slope;
};

// Bytes with a guard behind them, filled with NaN: what a kernel must not read or overrun.
struct Scratch {
  BufferPtr buffer;
  size_t bytes;
  Scratch(CpuDevice& cpu, size_t n) : buffer(cpu.allocate(n + 64)), bytes(n) {
    std::memset(buffer->data(), 0xff, n + 64);
  }
  bool whole() const {
    for (size_t i = 0; i < 64; ++i)
      if (buffer->data()[bytes + i] != std::byte{0xff}) return false;
    return true;
  }
};

template <class In>
Scratch packed_b(CpuDevice& cpu, const Sizes& s, const MatmulOperand& b) {
  const size_t bytes = matmul_packed_bytes(s.k, s.n, dtype_of<In>::value);
  Scratch packed(cpu, bytes * size_t(s.batch));
  for (int64_t i = 0; i < s.batch; ++i) {
    MatmulPack p;
    p.k = s.k, p.n = s.n, p.dtype = dtype_of<In>::value, p.b = b;
    p.b.data = static_cast<const In*>(b.data) + i * b.batch_stride;
    p.packed = packed.buffer->data() + size_t(i) * bytes;
    cpu::matmul_pack_b(cpu.stream(), p);
  }
  EXPECT_TRUE(packed.whole());
  return packed;
}

template <class In, class Out>
Result<Out> run(CpuDevice& cpu, const Case<In, Out>& x) {
  Matmul p = x.params();
  Result<Out> result{x.start, x.start};
  p.c = result.c.data();
  if (x.keep || x.times) p.slope = result.slope.data();
  BufferPtr keep;
  if (x.packed) {
    const Scratch packed = packed_b<In>(cpu, x.s, p.b);
    keep = packed.buffer;
    p.b = {keep->data(), 0, 0, int64_t(packed.bytes / sizeof(In)) / x.s.batch, true};
  }
  const Scratch scratch(cpu, matmul_scratch_bytes(p, cpu.stream().threads()));
  p.scratch = scratch.buffer->data();
  cpu::matmul(cpu.stream(), p);
  EXPECT_TRUE(scratch.whole());
  return result;
}

// ---- the scalar model; to be called with denormals flushed
// ---------------------------------------

float model_sum(const bf16* a, int64_t a_stride, const bf16* b, int64_t b_stride, int64_t k,
                float sum) {
  for (int64_t l0 = 0; l0 < k; l0 += 32) {
    float chains[2] = {0, 0};
    for (int64_t l = l0; l < l0 + 32; ++l) {
      const float x = l < k ? float(a[l * a_stride]) : 0, y = l < k ? float(b[l * b_stride]) : 0;
      chains[l % 2] = std::fma(x, y, chains[l % 2]);
    }
    sum = sum + (chains[0] + chains[1]);
  }
  return sum;
}
float model_sum(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t k,
                float sum) {
  for (int64_t l = 0; l < k; ++l) sum = std::fma(a[l * a_stride], b[l * b_stride], sum);
  return sum;
}

template <class Out>
float model_gelu(float x, bool slope = false) {
  cpu::avx2::F32x16 value[1] = {x}, by_x[1];
  cpu::avx2::gate<cpu::avx2::Gelu, Out>(value, by_x);
  float lanes[16];
  (slope ? by_x : value)[0].store(lanes);
  return lanes[0];
}

template <class In, class Out>
void model_element(const Case<In, Out>& x, int64_t batch, int64_t i, int64_t j,
                   Result<Out>& result) {
  const Matmul p = x.params();
  const size_t at = size_t(batch * x.c_batch() + i * x.c_row() + j);
  const In* a = x.a.data() + batch * p.a.batch_stride + i * p.a.row_stride;
  const In* b = x.b.data() + batch * p.b.batch_stride + j * p.b.col_stride;
  const auto sum_of = [&](int64_t begin, int64_t end, float start) {
    return model_sum(a + begin * p.a.col_stride, p.a.col_stride, b + begin * p.b.row_stride,
                     p.b.row_stride, end - begin, start);
  };
  const int64_t end = x.cut > 0 ? x.cut : x.s.k;
  float sum = sum_of(0, end, x.add ? float(x.start[at]) : 0.0f);
  if (end < x.s.k) sum = sum + sum_of(end, x.s.k, 0);
  if (x.bias) sum = sum + float(x.bias_values[size_t(j)]);
  Out v(sum);
  if (x.keep) result.slope[at] = Out(model_gelu<Out>(float(v), true));
  if (x.gelu) v = Out(model_gelu<Out>(float(v)));
  if (x.times) v = Out(float(v) * float(x.start[at]));
  if (x.residual) v = Out(float(v) + float(x.residual_values[at]));
  result.c[at] = v;
}

// All elements, or of a large product about `at_most` of them: the others are taken from `got`.
template <class In, class Out>
Result<Out> model(const Case<In, Out>& x, const Result<Out>& got, int64_t at_most = 30000) {
  Result<Out> want{x.start, x.start};
  const int64_t elements = x.s.batch * x.s.m * x.s.n;
  const int64_t every = elements / at_most + 1;
  if (every > 1) want = got;
  CpuDevice one(1, Isa::avx2);
  one.stream().pool().run([&](int) {  // the pool's threads flush denormals
    for (int64_t e = 0; e < elements; e += every)
      model_element(x, e / (x.s.m * x.s.n), e / x.s.n % x.s.m, e % x.s.n, want);
  });
  return want;
}

template <class In, class Out>
void expect_model_everywhere(Case<In, Out> x) {
  static const auto cpus = all_cpus();
  Result<Out> want;
  for (const bool packed : {false, true})
    for (const auto& cpu : cpus) {
      if (packed && x.cut >= 0) continue;
      x.packed = packed;
      const Result<Out> got = run(*cpu, x);
      if (want.c.empty()) want = model(x, got);
      ASSERT_TRUE(same_bits(got.c, want.c) && same_bits(got.slope, want.slope))
          << x.form.name << ", m " << x.s.m << " n " << x.s.n << " k " << x.s.k << " batch "
          << x.s.batch << (packed ? ", packed, " : ", ") << cpu->description();
    }
}

// ---- sizes and forms
// -----------------------------------------------------------------------------

template <class In, class Out>
void try_sizes() {
  const Sizes sizes[] = {{1, 1, 1},    {1, 33, 70},  {2, 16, 31},  {8, 40, 64},   {16, 65, 130},
                         {17, 32, 32}, {33, 1, 100}, {64, 96, 96}, {45, 77, 515}, {100, 31, 600}};
  for (const Form& form : forms)
    for (const Sizes& s : sizes) {
      expect_model_everywhere(Case<In, Out>(s, form));
      expect_model_everywhere(Case<In, Out>(s, form, 3));
    }
}

TEST(Matmul, Bf16HasTheModelsBits) {
  try_sizes<bf16, bf16>();
}
TEST(Matmul, Bf16IntoF32HasTheModelsBits) {
  try_sizes<bf16, float>();
}
TEST(Matmul, F32HasTheModelsBits) {
  try_sizes<float, float>();
}

TEST(Matmul, ManyBlocks) {
  for (const Form& form : forms) {
    expect_model_everywhere(Case<bf16, bf16>({610, 300, 1100}, form));
    expect_model_everywhere(Case<bf16, float>({70, 1200, 1040}, form));
    expect_model_everywhere(Case<float, float>({580, 290, 530}, form));
  }
}

TEST(Matmul, AccumulatesOntoC) {
  for (const Form& form : forms)
    for (const Sizes& s : {Sizes{40, 50, 70}, {128, 128, 768}, {1, 20, 0}}) {
      Case<bf16, float> x(s, form);
      Case<float, float> y(s, form, 1);
      x.add = y.add = true;
      expect_model_everywhere(x);
      expect_model_everywhere(y);
    }
}

// K from 512 on and C of up to 2^17 elements; the first half has the odd step.
TEST(Matmul, GradientsOfSmallWeightsAreSummedInHalves) {
  const std::pair<Sizes, int64_t> cuts[] = {
      {{128, 160, 768}, 384}, {{31, 45, 512}, 256}, {{100, 70, 545}, 288}, {{256, 512, 600}, 320},
      {{1, 300, 700}, 352},   {{70, 40, 511}, 0},   {{257, 512, 600}, 0}};
  for (const Form& form : forms)
    for (const auto& [sizes, cut] : cuts) {
      Case<bf16, float> x(sizes, form, sizes.m % 3);
      x.cut = cut, x.residual = sizes.n % 20 == 0;
      expect_model_everywhere(x);
    }
}

TEST(Matmul, Batches) {
  for (const Form& form : forms)
    for (const int64_t batch : {2, 3, 8}) {
      expect_model_everywhere(Case<bf16, bf16>({40, 50, 70, batch}, form, 2));
      expect_model_everywhere(Case<float, float>({40, 50, 70, batch}, form));
    }
}

TEST(Matmul, EmptySizes) {
  for (const Form& form : forms) {
    expect_model_everywhere(Case<bf16, bf16>({5, 7, 0}, form));
    expect_model_everywhere(Case<float, float>({5, 7, 0}, form));
    expect_model_everywhere(Case<bf16, bf16>({0, 7, 5}, form));
    expect_model_everywhere(Case<bf16, bf16>({5, 0, 5}, form));
  }
}

// Attention heads: [tokens, heads, width] read in place.
TEST(Matmul, HeadsInPlace) {
  const int64_t tokens = 40, heads = 3, width = 16;
  const auto q = normal<bf16>(tokens * heads * width, 1), k = normal<bf16>(q.size(), 2);
  std::vector<bf16> first;
  for (const auto& cpu : all_cpus()) {
    Matmul p;
    p.batch = heads, p.m = p.n = tokens, p.k = width;
    p.a = {q.data(), heads * width, 1, width, false};
    p.b = {k.data(), 1, heads * width, width, false};
    std::vector<bf16> c(size_t(heads * tokens * tokens));
    p.c = c.data(), p.c_row_stride = tokens, p.c_batch_stride = tokens * tokens;
    const Scratch scratch(*cpu, matmul_scratch_bytes(p, cpu->stream().threads()));
    p.scratch = scratch.buffer->data();
    cpu::matmul(cpu->stream(), p);
    if (first.empty()) first = c;
    EXPECT_TRUE(same_bits(c, first)) << cpu->description();
  }
  double sum = 0;
  for (int64_t l = 0; l < width; ++l)
    sum +=
        from(q[size_t((7 * heads + 2) * width + l)]) * from(k[size_t((9 * heads + 2) * width + l)]);
  EXPECT_NEAR(from(first[size_t((2 * tokens + 7) * tokens + 9)]), sum, std::abs(sum) / 256 + 1e-5);
}

// ---- epilogue
// ------------------------------------------------------------------------------------

template <class In, class Out>
void try_epilogues() {
  for (int bits = 0; bits < 16; ++bits)
    for (const Sizes& s : {Sizes{33, 50, 40}, {1, 40, 40}, {70, 64, 96, 2}}) {
      Case<In, Out> x(s, forms[0], bits % 3);
      x.bias = bits & 1, x.gelu = bits & 2, x.keep = (bits & 6) == 6, x.residual = bits & 8;
      expect_model_everywhere(x);
    }
  for (const Sizes& s : {Sizes{33, 50, 40}, {70, 64, 160, 2}}) {
    Case<In, Out> x(s, forms[0], 1);
    x.times = true;
    expect_model_everywhere(x);
  }
}
TEST(Matmul, EpilogueRoundsLikeTheStepsAlone) {
  try_epilogues<bf16, bf16>();
  try_epilogues<bf16, float>();
  try_epilogues<float, float>();
}

// ---- independence of the batch, and values at the edges
// --------------------------------------------

TEST(Matmul, RowsAloneEqualRowsTogether) {
  const auto cpus = all_cpus();
  const Case<bf16, bf16> all({50, 100, 300}, forms[0]);
  const Result<bf16> together = run(*cpus[0], all);
  for (const auto& cpu : cpus)
    for (const int64_t rows : {1, 3, 16, 20}) {
      Case<bf16, bf16> some = all;
      some.s.m = rows;
      const Result<bf16> alone = run(*cpu, some);
      EXPECT_EQ(std::memcmp(alone.c.data(), together.c.data(), size_t(rows * 100) * 2), 0)
          << rows << " rows, " << cpu->description();
    }
}

TEST(Matmul, DenormalsAreZero) {
  for (const Form& form : forms) {
    Case<bf16, float> x({20, 40, 100}, form);
    const Philox random{9};
    for (size_t i = 0; i < x.a.size(); ++i) x.a[i].bits = uint16_t(random(i)[0] & 0x80ff);
    for (size_t i = 0; i < x.b.size(); ++i) x.b[i].bits = uint16_t(random(i)[1] & 0xc7ff);
    expect_model_everywhere(x);
  }
}

template <class T>
void try_not_finite() {
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (const auto& cpu : all_cpus()) {
    Case<T, float> x({20, 40, 70}, forms[0]);
    x.a[3 * 70 + 50] = T(std::numeric_limits<float>::quiet_NaN());
    x.a[4 * 70 + 69] = T(inf);
    const Result<float> got = run(*cpu, x);
    for (int64_t j = 0; j < 40; ++j) {
      EXPECT_TRUE(std::isnan(got.c[size_t(3 * 40 + j)])) << cpu->description();
      EXPECT_TRUE(std::isinf(got.c[size_t(4 * 40 + j)])) << cpu->description();
      EXPECT_TRUE(std::isfinite(got.c[size_t(5 * 40 + j)])) << cpu->description();
    }
  }
}
TEST(Matmul, NotANumberAndInfinityPass) {
  try_not_finite<bf16>();
  try_not_finite<float>();
}

// ---- against f64
// ---------------------------------------------------------------------------------

// The f32 sum of k products is off by at most about k units of its last place times the sum of
// their magnitudes; a sixteenth of that is far above what ascending chains reach in practice.
template <class In, class Out>
void compare_with_f64(const Sizes& s, const Form& form) {
  Case<In, Out> x(s, form);
  x.bias = x.gelu = x.residual = true;
  CpuDevice cpu(2);
  const Result<Out> got = run(cpu, x);
  const auto a = widened(x.a), b = widened(x.b), bias = widened(x.bias_values),
             residual = widened(x.residual_values);
  std::vector<double> want(got.c.size());
  Matmul p = x.params();
  p.in = p.out = DType::f64;
  p.a.data = a.data(), p.b.data = b.data(), p.bias = bias.data(), p.residual = residual.data();
  p.c = want.data();
  ref::matmul<double>(p);
  const double sums = double(s.k) * 0.3 * double(s.k) / 16 * half_ulp<float>();
  expect_near(got.c, want, 2 * half_ulp<Out>(), 8 * half_ulp<Out>() + sums, form.name);
}
TEST(Matmul, CloseToF64) {
  for (const Form& form : forms) {
    compare_with_f64<bf16, bf16>({70, 90, 200}, form);
    compare_with_f64<bf16, float>({70, 90, 200}, form);
    compare_with_f64<float, float>({70, 90, 200}, form);
  }
}

TEST(Matmul, ScratchForManyRowsIsEnoughForFewer) {
  for (const DType type : {DType::bf16, DType::f32})
    for (const int64_t n : {48, 259, 1000})
      for (const int threads : {1, 2, 3, 8}) {
        Matmul p;
        p.in = p.out = type, p.n = n, p.k = 48, p.m = 512;
        p.a.row_stride = p.b.row_stride = p.k, p.a.col_stride = p.b.col_stride = 1;
        const size_t most = matmul_scratch_bytes(p, threads);
        for (p.m = 1; p.m < 512; ++p.m)
          ASSERT_LE(plan_matmul(p, threads).total_bytes, most) << p.m << " " << n << " " << threads;
      }
}

TEST(Matmul, TilesOfAmx) {
  if (!weft::testing::runs_here(Isa::amx))
    GTEST_SKIP()
        << "this machine has neither AMX nor AVX512-BF16, with which the tests emulate it; "
           "its best is "
        << isa_name(best_isa());
  CpuDevice tiles(2, Isa::amx), vectors(2, Isa::avx512);
  const Case<bf16, bf16> x({200, 300, 700}, forms[0]);
  EXPECT_TRUE(same_bits(run(tiles, x).c, run(vectors, x).c));
}

}  // namespace
}  // namespace weft::kernels
