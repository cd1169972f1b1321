#include "weft/kernels/pointwise.h"

#include <cmath>
#include <limits>

namespace weft::kernels::ref {
namespace {

// A float is in `real`, an integer or boolean in `whole`.
struct Value {
  double real = 0;
  int64_t whole = 0;
};

double to_real(Value v, DType t) {
  return is_float(t) ? v.real : double(float(v.whole));
}

double round_real(double x, DType t) {
  if (t == DType::f64) return x;
  float f = float(x);
  if (std::fabs(f) < std::numeric_limits<float>::min()) f = std::copysign(0.0f, f);
  if (t == DType::bf16) f = float(bf16(f));
  if (t == DType::f16) f = float(f16(f));
  return double(f);
}

int64_t wrap(int64_t x, DType t) {
  switch (t) {
    case DType::i32:
      return int32_t(x);
    case DType::u8:
      return uint8_t(x);
    case DType::boolean:
      return x != 0;
    default:
      return x;
  }
}

int64_t truncate(double x, DType t) {
  if (t == DType::boolean) return x != 0;
  if (std::isnan(x)) return 0;
  const double low = t == DType::u8 ? 0 : t == DType::i32 ? -0x1p31 : -0x1p63;
  const double high = t == DType::u8 ? 0x1p8 : t == DType::i32 ? 0x1p31 : 0x1p63;
  if (x < low) return int64_t(low);
  if (x >= high) return t == DType::i64 ? std::numeric_limits<int64_t>::max() : int64_t(high) - 1;
  return int64_t(x);
}

Value cast(Value v, DType from, DType to) {
  if (is_float(to) && !is_float(from) && to == DType::f64) return {double(v.whole), 0};
  if (is_float(to)) return {round_real(to_real(v, from), to), 0};
  return {0, is_float(from) ? truncate(v.real, to) : wrap(v.whole, to)};
}

double gelu_tanh_grad(double x) {
  constexpr double c = 1.5957691216057308;  // 2 sqrt(2/pi)
  if (std::fabs(x) > 64) return x > 0 ? 1 : 0;
  const double w = c * (x + 0.044715 * x * x * x), s = 1 / (1 + std::exp(-w));
  return s + x * s / (1 + std::exp(w)) * c * (1 + 3 * 0.044715 * x * x);
}

double gelu_tanh(double x) {
  if (x < -64) return -0.0;
  return x / (1 + std::exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)));
}

double silu(double x) {
  return x < -700 ? -0.0 : x / (1 + std::exp(-x));
}

double silu_grad(double x) {
  if (std::fabs(x) > 700) return x > 0 ? 1 : 0;
  const double s = 1 / (1 + std::exp(-x));
  return s + x * s / (1 + std::exp(x));
}

double evaluate_real(PointwiseOp op, double a, double b) {
  using enum PointwiseOp;
  switch (op) {
    case neg:
      return -a;
    case abs:
      return std::fabs(a);
    case exp:
      return std::exp(a);
    case log:
      return std::log(a);
    case sqrt:
      return std::sqrt(a);
    case rsqrt:
      return 1 / std::sqrt(a);
    case tanh:
      return std::tanh(a);
    case sigmoid:
      return 1 / (1 + std::exp(-a));
    case erf:
      return std::erf(a);
    case sin:
      return std::sin(a);
    case cos:
      return std::cos(a);
    case PointwiseOp::gelu_tanh:
      return ref::gelu_tanh(a);
    case PointwiseOp::gelu_tanh_grad:
      return ref::gelu_tanh_grad(a);
    case PointwiseOp::silu:
      return ref::silu(a);
    case PointwiseOp::silu_grad:
      return ref::silu_grad(a);
    case add:
      return a + b;
    case sub:
      return a - b;
    case mul:
      return a * b;
    case div:
      return a / b;
    case pow:
      return std::pow(a, b);
    case min:
      return std::isnan(a) || a < b ? a : b;
    case max:
      return std::isnan(a) || a > b ? a : b;
    default:
      return 0;
  }
}

int64_t evaluate_whole(PointwiseOp op, int64_t a, int64_t b) {
  using enum PointwiseOp;
  const auto ua = uint64_t(a), ub = uint64_t(b);
  switch (op) {
    case neg:
      return int64_t(-ua);
    case abs:
      return a < 0 ? int64_t(-ua) : a;
    case add:
      return int64_t(ua + ub);
    case sub:
      return int64_t(ua - ub);
    case mul:
      return int64_t(ua * ub);
    case div:
      return b == 0 ? 0 : b == -1 ? int64_t(-ua) : a / b;
    case min:
      return a < b ? a : b;
    case max:
      return a > b ? a : b;
    default:
      return 0;
  }
}

template <class T>
bool compare(PointwiseOp op, T a, T b) {
  switch (op) {
    case PointwiseOp::less:
      return a < b;
    case PointwiseOp::less_equal:
      return a <= b;
    case PointwiseOp::equal:
      return a == b;
    default:
      return a != b;
  }
}

Value comparison(PointwiseOp op, Value a, Value b, DType operands) {
  return {0, is_float(operands) ? compare(op, a.real, b.real) : compare(op, a.whole, b.whole)};
}

Value load(const void* data, DType t, int64_t index) {
  return visit_dtype(t, [&](auto zero) -> Value {
    using T = decltype(zero);
    const T x = static_cast<const T*>(data)[index];
    if constexpr (std::is_integral_v<T>)
      return {0, int64_t(x)};
    else if constexpr (std::is_same_v<T, double>)
      return {x, 0};
    else
      return {double(float(x)), 0};
  });
}

void store(void* data, DType t, int64_t index, Value v) {
  visit_dtype(t, [&](auto zero) {
    using T = decltype(zero);
    T& x = static_cast<T*>(data)[index];
    if constexpr (std::is_integral_v<T>)
      x = T(v.whole);
    else if constexpr (std::is_same_v<T, double>)
      x = v.real;
    else
      x = T(float(v.real));
  });
}

Value evaluate(const Pointwise& p, const PointwiseInstr& in, const Value* values) {
  const Value a = values[in.a], b = values[in.b];
  const DType type_a = p.instr[in.a].dtype, t = in.dtype;
  if (in.op == PointwiseOp::constant) return cast({in.imm, 0}, DType::f64, t);
  if (in.op == PointwiseOp::cast) return cast(a, type_a, t);
  if (is_comparison(in.op)) return comparison(in.op, a, b, type_a);
  if (in.op == PointwiseOp::where) {
    const bool yes = is_float(type_a) ? a.real != 0 : a.whole != 0;
    return cast(yes ? b : values[in.c], p.instr[yes ? in.b : in.c].dtype, t);
  }
  if (is_float(t)) return {round_real(evaluate_real(in.op, a.real, b.real), t), 0};
  return {0, wrap(evaluate_whole(in.op, a.whole, b.whole), t)};
}

int64_t offset(const int64_t* strides, const int64_t* at, int rank) {
  int64_t result = 0;
  for (int d = 0; d < rank; ++d) result += strides[d] * at[d];
  return result;
}

void run_element(const Pointwise& p, const int64_t* at) {
  Value values[Pointwise::max_instrs];
  for (int i = 0; i < p.instrs; ++i) {
    const PointwiseInstr& in = p.instr[i];
    if (in.op == PointwiseOp::input) {
      const PointwiseInput& from = p.input[in.a];
      values[i] = load(from.data, from.dtype, offset(from.strides, at, p.rank));
    } else {
      values[i] = evaluate(p, in, values);
    }
  }
  for (int o = 0; o < p.outputs; ++o) {
    const PointwiseOutput& to = p.output[o];
    store(to.data, p.instr[to.instr].dtype, offset(to.strides, at, p.rank), values[to.instr]);
  }
}

}  // namespace

void pointwise(const Pointwise& p) {
  int64_t total = 1;
  for (int d = 0; d < p.rank; ++d) total *= p.sizes[d];
  for (int64_t e = 0; e < total; ++e) {
    int64_t at[pointwise_rank], rest = e;
    for (int d = p.rank - 1; d >= 0; --d) at[d] = rest % p.sizes[d], rest /= p.sizes[d];
    run_element(p, at);
  }
}

}  // namespace weft::kernels::ref
