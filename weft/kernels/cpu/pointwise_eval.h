// One instruction over the n lanes of a block; n is a multiple of 16, and the result may replace an
// operand.
#pragma once
#include "weft/kernels/cpu/pointwise_block.h"
#include "weft/kernels/cpu/vmath.h"
#include "weft/kernels/pointwise.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

// T: what results are rounded to, f32 or bf16.
template <class T>
F32x16 rounded(F32x16 x) {
  return round_to(x, static_cast<const T*>(nullptr));
}
template <class T = float, class F>
void each(float* out, const float* a, int n, F f) {
  for (int i = 0; i < n; i += lanes) rounded<T>(f(F32x16::load(a + i))).store(out + i);
}
template <class T = float, class F>
void each(float* out, const float* a, const float* b, int n, F f) {
  for (int i = 0; i < n; i += lanes)
    rounded<T>(f(F32x16::load(a + i), F32x16::load(b + i))).store(out + i);
}
// gelu or silu, or its slope, of some vectors side by side.
template <class Gate, class T, bool of_slope, int vectors>
[[gnu::always_inline]] inline void gate_vectors(float* out, const float* a) {
  F32x16 x[vectors], slope[vectors];
  WEFT_UNROLL for (int i = 0; i < vectors; ++i) x[i] = F32x16::load(a + i * lanes);
  gate<Gate, T>(x, slope);
  WEFT_UNROLL for (int i = 0; i < vectors; ++i) rounded<T>(of_slope ? slope[i] : x[i])
      .store(out + i * lanes);
}
template <class Gate, class T, bool of_slope = false>
void each_gate(float* out, const float* a, int n) {
  constexpr int vectors = sizeof(T) == 2 ? 4 : 1;
  int i = 0;
  for (; i + vectors * lanes <= n; i += vectors * lanes)
    gate_vectors<Gate, T, of_slope, vectors>(out + i, a + i);
  for (; i < n; i += lanes) gate_vectors<Gate, T, of_slope, 1>(out + i, a + i);
}
template <class F>
void mask(float* out, const float* a, const float* b, int n, F f) {
  each(out, a, b, n, [f](F32x16 x, F32x16 y) { return select(f(x, y), 1.0f, 0.0f); });
}

template <class T>
void evaluate_unary(PointwiseOp op, float* out, const float* a, int n) {
  switch (op) {
    case PointwiseOp::neg:
      return each<T>(out, a, n, [](F32x16 x) { return -x; });
    case PointwiseOp::abs:
      return each<T>(out, a, n, [](F32x16 x) { return abs(x); });
    case PointwiseOp::exp:
      return each<T>(out, a, n, [](F32x16 x) { return exp(x); });
    case PointwiseOp::log:
      return each<T>(out, a, n, [](F32x16 x) { return log(x); });
    case PointwiseOp::sqrt:
      return each<T>(out, a, n, [](F32x16 x) { return sqrt(x); });
    case PointwiseOp::rsqrt:
      return each<T>(out, a, n, [](F32x16 x) { return rsqrt(x); });
    case PointwiseOp::tanh:
      return each<T>(out, a, n, [](F32x16 x) { return tanh(x); });
    case PointwiseOp::sigmoid:
      return each<T>(out, a, n, [](F32x16 x) { return sigmoid(x); });
    case PointwiseOp::erf:
      return each<T>(out, a, n, [](F32x16 x) { return erf(x); });
    case PointwiseOp::sin:
      return each<T>(out, a, n, [](F32x16 x) { return sin(x); });
    case PointwiseOp::cos:
      return each<T>(out, a, n, [](F32x16 x) { return cos(x); });
    case PointwiseOp::gelu_tanh:
      return each_gate<Gelu, T>(out, a, n);
    case PointwiseOp::gelu_tanh_grad:
      return each_gate<Gelu, T, true>(out, a, n);
    case PointwiseOp::silu:
      return each_gate<Silu, T>(out, a, n);
    default:
      return each_gate<Silu, T, true>(out, a, n);
  }
}

template <class T>
void evaluate_binary(PointwiseOp op, float* out, const float* a, const float* b, int n) {
  switch (op) {
    case PointwiseOp::add:
      return each<T>(out, a, b, n, [](F32x16 x, F32x16 y) { return x + y; });
    case PointwiseOp::sub:
      return each<T>(out, a, b, n, [](F32x16 x, F32x16 y) { return x - y; });
    case PointwiseOp::mul:
      return each<T>(out, a, b, n, [](F32x16 x, F32x16 y) { return x * y; });
    case PointwiseOp::div:
      return each<T>(out, a, b, n, [](F32x16 x, F32x16 y) { return x / y; });
    case PointwiseOp::pow:
      return each<T>(out, a, b, n, [](F32x16 x, F32x16 y) { return pow(x, y); });
    case PointwiseOp::min:  // the instruction itself propagates a NaN of y only
      return each<T>(out, a, b, n,
                     [](F32x16 x, F32x16 y) { return select(is_nan(x), x, min(x, y)); });
    case PointwiseOp::max:
      return each<T>(out, a, b, n,
                     [](F32x16 x, F32x16 y) { return select(is_nan(x), x, max(x, y)); });
    case PointwiseOp::less:
      return mask(out, a, b, n, [](F32x16 x, F32x16 y) { return x < y; });
    case PointwiseOp::less_equal:
      return mask(out, a, b, n, [](F32x16 x, F32x16 y) { return x <= y; });
    case PointwiseOp::equal:
      return mask(out, a, b, n, [](F32x16 x, F32x16 y) { return x == y; });
    default:
      return mask(out, a, b, n, [](F32x16 x, F32x16 y) { return ~(x == y); });
  }
}

// Moves bits only, so it serves int32 too.
void evaluate_where(float* out, const float* a, const float* b, const float* c, int n) {
  for (int i = 0; i < n; i += lanes)
    select(F32x16::load(a + i) == F32x16(0.0f), F32x16::load(c + i), F32x16::load(b + i))
        .store(out + i);
}

uint32_t whole_arithmetic(PointwiseOp op, int32_t a, int32_t b) {
  const auto ua = uint32_t(a), ub = uint32_t(b);
  switch (op) {
    case PointwiseOp::neg:
      return 0u - ua;
    case PointwiseOp::abs:
      return a < 0 ? 0u - ua : ua;
    case PointwiseOp::add:
      return ua + ub;
    case PointwiseOp::sub:
      return ua - ub;
    case PointwiseOp::mul:
      return ua * ub;
    case PointwiseOp::div:
      return b == 0 ? 0u : b == -1 ? 0u - ua : uint32_t(a / b);
    case PointwiseOp::min:
      return a < b ? ua : ub;
    default:
      return a > b ? ua : ub;
  }
}

template <class F>
void each_whole(float* out, const float* a, const float* b, int n, F f) {
  for (int i = 0; i < n; ++i) out[i] = f(as_whole(a[i]), as_whole(b[i]));
}

void evaluate_wholes(PointwiseOp op, float* out, const float* a, const float* b, int n) {
  switch (op) {
    case PointwiseOp::less:
      return each_whole(out, a, b, n, [](int32_t x, int32_t y) { return float(x < y); });
    case PointwiseOp::less_equal:
      return each_whole(out, a, b, n, [](int32_t x, int32_t y) { return float(x <= y); });
    case PointwiseOp::equal:
      return each_whole(out, a, b, n, [](int32_t x, int32_t y) { return float(x == y); });
    case PointwiseOp::not_equal:
      return each_whole(out, a, b, n, [](int32_t x, int32_t y) { return float(x != y); });
    default:
      return each_whole(out, a, b, n, [op](int32_t x, int32_t y) {
        return as_lane(int32_t(whole_arithmetic(op, x, y)));
      });
  }
}

int32_t truncate(float x) {
  if (x != x) return 0;
  if (x >= 2147483648.0f) return INT32_MAX;
  return x < -2147483648.0f ? INT32_MIN : int32_t(x);
}

F32x16 round_to_f16(F32x16 x) {
  f16 t[lanes];
  x.store(t);
  return F32x16::load(t);
}

void round_to(DType t, float* x, int n) {
  switch (t) {
    case DType::bf16:
      return each<bf16>(x, x, n, [](F32x16 v) { return v; });
    case DType::f16:
      return each(x, x, n, [](F32x16 v) { return round_to_f16(v); });
    case DType::boolean:
      return each(x, x, n, [](F32x16 v) { return select(v == F32x16(0.0f), 0.0f, 1.0f); });
    default:
      return;
  }
}

void evaluate_cast(DType from, DType to, float* out, const float* a, int n) {
  const bool was_whole = from == DType::i32, whole = to == DType::i32;
  if (was_whole && !whole) {
    for (int i = 0; i < n; ++i) out[i] = float(as_whole(a[i]));
  } else if (whole && !was_whole) {
    for (int i = 0; i < n; ++i) out[i] = as_lane(truncate(a[i]));
  } else {
    each(out, a, n, [](F32x16 x) { return x; });
  }
}

}  // namespace
}  // namespace weft::kernels::cpu::WEFT_ISA
