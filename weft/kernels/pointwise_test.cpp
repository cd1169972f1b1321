#include "weft/kernels/pointwise.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace weft::kernels {
namespace {

using enum PointwiseOp;
constexpr DType floats[] = {DType::f32, DType::bf16, DType::f16};

CpuDevice& device(int threads, Isa isa) {
  static CpuDevice devices[2][2] = {{CpuDevice(1, Isa::avx2), CpuDevice(2, Isa::avx2)},
                                    {CpuDevice(1, std::min(best_isa(), Isa::avx512)),
                                     CpuDevice(2, std::min(best_isa(), Isa::avx512))}};
  return devices[isa != Isa::avx2][threads - 1];
}

// Elements of any dtype, written and read as double.
struct Data {
  DType dtype;
  std::vector<std::byte> bytes;

  Data(DType t, int64_t n) : dtype(t), bytes(size_t(n) * dtype_size(t)) {}
  int64_t size() const { return int64_t(bytes.size() / dtype_size(dtype)); }
  void set(int64_t i, double x) {
    visit_dtype(dtype, [&](auto zero) {
      using T = decltype(zero);
      T& to = reinterpret_cast<T*>(bytes.data())[i];
      if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
        to = T(float(x));
      else
        to = T(x);
    });
  }
  double at(int64_t i) const {
    return visit_dtype(dtype, [&](auto zero) {
      using T = decltype(zero);
      const T x = reinterpret_cast<const T*>(bytes.data())[i];
      if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
        return double(float(x));
      else
        return double(x);
    });
  }
};

// Values of about 1 of both signs, whole ones for integers, with the awkward ones in between.
Data sample(DType t, int64_t n, uint32_t seed, bool awkward = true) {
  Data data(t, n);
  constexpr double inf = std::numeric_limits<double>::infinity();
  const double special[] = {0.0, -0.0, inf, -inf, std::nan(""), 1.0, -1.0, 100.0, -100.0, 3e4};
  uint64_t state = seed;
  for (int64_t i = 0; i < n; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const double u = double(state >> 40) / 16777216.0 * 8 - 4;
    if (t == DType::boolean)
      data.set(i, double(state >> 40 & 1));
    else if (!is_float(t))
      data.set(i, t == DType::u8 ? std::floor(u + 4) : std::floor(u));
    else
      data.set(i, awkward && i % 7 == 3 ? special[state >> 50 & 7] : u);
  }
  return data;
}

bool same(const Data& x, const Data& y) {
  if (!is_float(x.dtype)) return x.bytes == y.bytes;
  for (int64_t i = 0; i < x.size(); ++i) {
    const size_t width = dtype_size(x.dtype);
    if (std::isnan(x.at(i)) && std::isnan(y.at(i))) continue;  // any NaN
    if (std::memcmp(&x.bytes[size_t(i) * width], &y.bytes[size_t(i) * width], width) != 0)
      return false;
  }
  return true;
}

// A program under construction over one grid; operands are named by the index that add() returned.
struct Program {
  Pointwise p;
  explicit Program(std::vector<int64_t> sizes) {
    p.rank = int(sizes.size());
    std::copy(sizes.begin(), sizes.end(), p.sizes);
  }
  std::vector<int64_t> packed_strides() const {
    std::vector<int64_t> strides(size_t(p.rank), 1);
    for (int d = p.rank - 2; d >= 0; --d)
      strides[size_t(d)] = strides[size_t(d) + 1] * p.sizes[d + 1];
    return strides;
  }
  int64_t elements() const {
    int64_t n = 1;
    for (int d = 0; d < p.rank; ++d) n *= p.sizes[d];
    return n;
  }
  uint8_t load(const Data& data, std::vector<int64_t> strides) {
    PointwiseInput& in = p.input[p.inputs];
    in = {data.bytes.data(), data.dtype, {}};
    std::copy(strides.begin(), strides.end(), in.strides);
    return add(input, data.dtype, uint8_t(p.inputs++));
  }
  uint8_t load(const Data& data) { return load(data, packed_strides()); }
  uint8_t add(PointwiseOp op, DType t, uint8_t a = 0, uint8_t b = 0, uint8_t c = 0,
              double imm = 0) {
    p.instr[p.instrs] = {op, t, a, b, c, imm};
    return uint8_t(p.instrs++);
  }
  void store(uint8_t instr) {
    PointwiseOutput& out = p.output[p.outputs++];
    out = {nullptr, {}, instr};
    const std::vector<int64_t> strides = packed_strides();
    std::copy(strides.begin(), strides.end(), out.strides);
  }
  template <class F>
  std::vector<Data> run(F kernel) {
    std::vector<Data> results;
    for (int o = 0; o < p.outputs; ++o)
      results.emplace_back(p.instr[p.output[o].instr].dtype, elements());
    for (int o = 0; o < p.outputs; ++o) p.output[o].data = results[size_t(o)].bytes.data();
    kernel(p);
    return results;
  }
  std::vector<Data> reference() {
    return run([](const Pointwise& q) { ref::pointwise(q); });
  }
  std::vector<Data> fast(int threads = 1, Isa isa = Isa::avx2) {
    EXPECT_TRUE(pointwise_fast(p));
    return run([&](const Pointwise& q) { cpu::pointwise(device(threads, isa).stream(), q); });
  }
  // The result of the fast path, after checking that all its builds and thread counts agree.
  std::vector<Data> fast_everywhere() {
    std::vector<Data> first = fast();
    for (int threads = 1; threads <= 2; ++threads)
      for (const Isa isa : {Isa::avx2, Isa::avx512}) {
        const std::vector<Data> other = fast(threads, isa);
        for (size_t o = 0; o < first.size(); ++o)
          EXPECT_TRUE(same(first[o], other[o])) << threads << " " << isa_name(isa);
      }
    return first;
  }
};

bool inexact(PointwiseOp op) {  // calls into cpu/vmath.h
  return (op >= exp && op <= silu_grad && op != sqrt) || op == pow;
}

// Units in the last place of t that an f32 result within 4 units of its own may be off.
void expect_near(const Data& actual, const Data& expected, PointwiseOp op) {
  const int bits = actual.dtype == DType::f32 ? 23 : actual.dtype == DType::f16 ? 10 : 7;
  const double units = actual.dtype == DType::f32 ? 4 : 1;
  for (int64_t i = 0; i < actual.size(); ++i) {
    const double a = actual.at(i), e = expected.at(i);
    if (std::isnan(a) && std::isnan(e)) continue;
    if (a == e) continue;
    // gelu and silu far below zero: an absolute bound (vmath_test.cpp has the sharp one).
    // In bf16 the slopes are as exact as values near 1 need it, also where they cross zero.
    const bool slope = op == gelu_tanh_grad || op == silu_grad;
    const double floor = op < gelu_tanh || op > silu_grad       ? 0x1p-120
                         : slope && actual.dtype == DType::bf16 ? 2e-4
                                                                : 1e-6;
    ASSERT_NEAR(a, e, std::max(units * std::ldexp(std::fabs(e), -bits), floor))
        << int(op) << " " << dtype_name(actual.dtype) << " element " << i;
  }
}

class PointwiseOps : public testing::TestWithParam<DType> {};

TEST_P(PointwiseOps, every_op_agrees_with_the_reference) {
  const DType t = GetParam();
  const Data x = sample(t, 1000, 1), y = sample(t, 1000, 2), z = sample(t, 1000, 3);
  for (PointwiseOp op = cast; op <= where; op = PointwiseOp(int(op) + 1)) {
    Program program({1000});
    const uint8_t a = program.load(x), b = program.load(y), c = program.load(z);
    const int operands = pointwise_operands(op);
    const uint8_t condition = program.add(less, DType::boolean, a, b);
    const DType result = is_comparison(op) ? DType::boolean : t;
    if (operands == 3)
      program.store(program.add(op, t, condition, b, c));
    else
      program.store(program.add(op, result, a, operands == 2 ? b : uint8_t(0)));
    if (!is_float(t) && !pointwise_fast(program.p)) continue;
    const std::vector<Data> fast = program.fast_everywhere(), exact = program.reference();
    if (inexact(op))
      expect_near(fast[0], exact[0], op);
    else
      EXPECT_TRUE(same(fast[0], exact[0])) << "op " << int(op);
  }
}

INSTANTIATE_TEST_SUITE_P(All, PointwiseOps,
                         testing::Values(DType::f32, DType::bf16, DType::f16, DType::i32,
                                         DType::boolean),
                         [](const auto& param) { return std::string(dtype_name(param.param)); });

TEST(Pointwise, casts_between_the_fast_dtypes) {
  for (const DType from : {DType::f32, DType::bf16, DType::f16, DType::i32, DType::boolean})
    for (const DType to : {DType::f32, DType::bf16, DType::f16, DType::i32, DType::boolean}) {
      Data x = sample(from, 300, 4);
      if (from == DType::i32) x.set(0, 2147483647.0), x.set(1, -2147483648.0), x.set(2, 16777217.0);
      if (from == DType::f32) x.set(0, 3e9), x.set(1, -3e9), x.set(2, 2.9), x.set(3, -2.9);
      Program program({300});
      program.store(program.add(cast, to, program.load(x)));
      EXPECT_TRUE(same(program.fast_everywhere()[0], program.reference()[0]))
          << dtype_name(from) << " to " << dtype_name(to);
    }
}

TEST(Pointwise, sizes_around_lanes_and_blocks) {
  for (const int64_t n : {0, 1, 15, 16, 17, 255, 256, 257, 1000})
    for (const DType t : floats) {
      const Data x = sample(t, n, 5), y = sample(t, n, 6);
      Program program({n});
      const uint8_t a = program.load(x), b = program.load(y);
      const uint8_t sum = program.add(add, t, a, b);
      program.store(sum);
      program.store(program.add(less, DType::boolean, sum, b));
      const std::vector<Data> fast = program.fast_everywhere(), exact = program.reference();
      EXPECT_TRUE(same(fast[0], exact[0]) && same(fast[1], exact[1])) << n;
    }
}

struct Grid {
  std::vector<int64_t> sizes, strides_x, strides_y;
};

TEST(Pointwise, broadcasts_and_strides) {
  const Grid grids[] = {
      {{7, 300}, {300, 1}, {0, 1}},  // a row for all rows
      {{7, 300}, {300, 1}, {1, 0}},  // a number per row
      {{7, 300}, {300, 1}, {0, 0}},  // one number
      {{7, 300}, {1, 7}, {300, 1}},  // transposed
      {{50, 3}, {3, 1}, {0, 1}},     // many short rows in a block
      {{50, 3}, {3, 1}, {1, 0}},     //
      {{2, 3, 5, 64}, {960, 320, 64, 1}, {0, 64, 0, 1}},
      {{2, 3, 5, 64}, {960, 320, 64, 1}, {15, 5, 1, 0}},
      {{2, 3, 5, 257}, {3855, 1285, 257, 1}, {257, 0, 0, 1}},
      {{3, 1, 1, 1}, {1, 0, 0, 0}, {1, 1, 1, 1}},
      {{}, {}, {}},
  };
  for (const Grid& grid : grids)
    for (const DType t : {DType::f32, DType::bf16, DType::i32, DType::boolean}) {
      const Data x = sample(t, 8000, 7), y = sample(t, 8000, 8);
      Program program(grid.sizes);
      const uint8_t a = program.load(x, grid.strides_x), b = program.load(y, grid.strides_y);
      program.store(program.add(max, t, a, b));
      program.store(program.add(add, t, b, a));
      const std::vector<Data> fast = program.fast_everywhere(), exact = program.reference();
      EXPECT_TRUE(same(fast[0], exact[0]) && same(fast[1], exact[1]))
          << testing::PrintToString(grid.sizes) << dtype_name(t);
    }
}

TEST(Pointwise, strided_outputs) {
  const Data x = sample(DType::bf16, 21 * 40, 9);
  Program program({21, 40});
  program.store(program.add(neg, DType::bf16, program.load(x)));
  program.p.output[0].strides[0] = 1, program.p.output[0].strides[1] = 21;
  EXPECT_TRUE(same(program.fast_everywhere()[0], program.reference()[0]));
}

TEST(Pointwise, min_and_max_propagate_nan_from_both_sides) {
  Data x(DType::f32, 2), y(DType::f32, 2);
  x.set(0, std::nan("")), y.set(0, 1), x.set(1, 1), y.set(1, std::nan(""));
  Program program({2});
  const uint8_t a = program.load(x), b = program.load(y);
  program.store(program.add(min, DType::f32, a, b));
  program.store(program.add(max, DType::f32, a, b));
  for (const Data& result : program.fast_everywhere())
    EXPECT_TRUE(std::isnan(result.at(0)) && std::isnan(result.at(1)));
}

// gelu(x w + b) with a residual, in bf16: one program, and its instructions one by one through
// memory.
TEST(Pointwise, a_fused_program_has_the_bits_of_its_instructions) {
  const std::vector<int64_t> sizes = {13, 272};
  const Data x = sample(DType::bf16, 13 * 272, 10), w = sample(DType::bf16, 272, 11);
  for (const DType t : floats) {
    Program fused(sizes);
    const uint8_t wide = fused.add(cast, t, fused.load(x));
    const uint8_t weight = fused.add(cast, t, fused.load(w, {0, 1}));
    const uint8_t product = fused.add(mul, t, wide, weight);
    const uint8_t scale = fused.add(constant, t, 0, 0, 0, 0.1);
    const uint8_t shifted = fused.add(add, t, product, scale);
    const uint8_t active = fused.add(gelu_tanh, t, shifted);
    const uint8_t smaller = fused.add(less, DType::boolean, active, wide);
    fused.store(fused.add(where, t, smaller, active, product));
    const Data together = fused.fast_everywhere()[0];

    std::vector<Data> values;
    for (int i = 0; i < fused.p.instrs; ++i) {
      const PointwiseInstr in = fused.p.instr[i];
      Program single(sizes);
      uint8_t operand[3] = {in.a, in.b, in.c};
      if (in.op == input) {
        single.store(in.a == 0 ? single.load(x) : single.load(w, {0, 1}));
      } else {
        for (int k = 0; k < pointwise_operands(in.op); ++k)
          operand[k] = single.load(values[operand[k]]);
        single.store(single.add(in.op, in.dtype, operand[0], operand[1], operand[2], in.imm));
      }
      values.push_back(single.fast()[0]);
    }
    EXPECT_TRUE(same(together, values.back())) << dtype_name(t);
  }
}

// The program of an optimizer: three inputs replaced where they lie, with an input read again after
// its memory is due.
TEST(Pointwise, outputs_may_replace_their_inputs) {
  for (const int64_t n : {17, 512, 4001}) {
    Program program({n});
    const Data x = sample(DType::f32, n, 12), y = sample(DType::f32, n, 13);
    const uint8_t a = program.load(x), b = program.load(y);
    const uint8_t sum = program.add(add, DType::f32, a, b);
    program.store(sum);
    program.store(a);
    program.store(program.add(mul, DType::f32, sum, a));
    const std::vector<Data> exact = program.reference();
    for (int threads = 1; threads <= 2; ++threads) {
      Data in_x = x, in_y = y, third(DType::f32, n);
      Pointwise p = program.p;
      p.input[0].data = p.output[0].data = in_x.bytes.data();
      p.input[1].data = p.output[1].data = in_y.bytes.data();
      p.output[2].data = third.bytes.data();
      cpu::pointwise(device(threads, Isa::avx512).stream(), p);
      EXPECT_TRUE(same(in_x, exact[0]) && same(in_y, exact[1]) && same(third, exact[2])) << n;
    }
  }
}

// Every slot of the interpreter in use and freed in turn.
TEST(Pointwise, a_program_of_the_largest_size) {
  const Data x = sample(DType::f32, 777, 14, false), y = sample(DType::f32, 777, 15, false);
  Program program({777});
  program.load(x), program.load(y);
  while (program.p.instrs < Pointwise::max_instrs) {
    const int i = program.p.instrs;
    if (i % 9 == 5)
      program.add(constant, DType::f32, 0, 0, 0, i * 0.01);
    else
      program.add(i % 2 ? sub : max, DType::f32, uint8_t(i - 1),
                  uint8_t(i * 7 % i ? i * 5 % i : 0));
  }
  for (const int instr : {47, 20, 46, 3, 0, 5}) program.store(uint8_t(instr));
  const std::vector<Data> fast = program.fast_everywhere(), exact = program.reference();
  for (size_t o = 0; o < fast.size(); ++o) EXPECT_TRUE(same(fast[o], exact[o])) << o;
}

TEST(Pointwise, the_reference_takes_every_dtype) {
  for (const DType t : {DType::f64, DType::i64, DType::i32, DType::u8}) {
    Data x(t, 3), y(t, 3);
    x.set(0, 7), y.set(0, 2), x.set(1, 200), y.set(1, 100), x.set(2, 5), y.set(2, 0);
    Program program({3});
    const uint8_t a = program.load(x), b = program.load(y);
    program.store(program.add(div, t, a, b));
    program.store(program.add(add, t, a, b));
    program.store(program.add(cast, DType::i64, a));
    const std::vector<Data> r = program.reference();
    EXPECT_EQ(r[0].at(0), is_float(t) ? 3.5 : 3);
    EXPECT_EQ(r[0].at(2), is_float(t) ? std::numeric_limits<double>::infinity() : 0);
    EXPECT_EQ(r[1].at(1), t == DType::u8 ? 44 : 300);
    EXPECT_EQ(r[2].at(1), 200);
  }
  Data big(DType::i64, 1);
  *reinterpret_cast<int64_t*>(big.bytes.data()) = (int64_t(1) << 53) + 1;
  Program exact({1});
  exact.store(exact.load(big));
  EXPECT_EQ(exact.reference()[0].bytes, big.bytes);
  EXPECT_FALSE(pointwise_fast(exact.p));
}

TEST(Pointwise, what_is_not_fast_runs_all_the_same) {
  const Data x = sample(DType::f64, 40, 16);
  Program program({40});
  program.store(program.add(tanh, DType::f64, program.load(x)));
  EXPECT_FALSE(pointwise_fast(program.p));
  const Data result =
      program.run([](const Pointwise& p) { pointwise(device(1, Isa::avx2).stream(), p); })[0];
  for (int64_t i = 0; i < 40; ++i)
    if (!std::isnan(x.at(i))) {
      EXPECT_EQ(result.at(i), std::tanh(x.at(i)));
    }
}

}  // namespace
}  // namespace weft::kernels
