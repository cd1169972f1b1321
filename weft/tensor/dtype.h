// Element types and their conversions on the host.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weft {

enum class DType : uint8_t { f64, f32, bf16, f16, i64, i32, u8, boolean };

constexpr size_t dtype_size(DType t) {
  constexpr size_t sizes[] = {8, 4, 2, 2, 8, 4, 1, 1};
  return sizes[int(t)];
}
constexpr std::string_view dtype_name(DType t) {
  constexpr std::string_view names[] = {"f64", "f32", "bf16", "f16", "i64", "i32", "u8", "bool"};
  return names[int(t)];
}
constexpr bool is_float(DType t) {
  return t <= DType::f16;
}
// The type sums of this type are accumulated in.
constexpr DType accumulator(DType t) {
  return t == DType::bf16 || t == DType::f16 ? DType::f32 : t;
}
// Throws Error(user) naming the types there are.
DType parse_dtype(std::string_view name);

// bfloat16 storage. From float: to nearest, ties to even; denormals become zero; NaN stays NaN
// (what vcvtneps2bf16 does). The AVX-512 and AVX2 kernels give the same bits.
struct bf16 {
  uint16_t bits = 0;
  bf16() = default;
  explicit bf16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u)
      bits = uint16_t(u >> 16 | 0x40u);
    else if ((u & 0x7f800000u) == 0)
      bits = uint16_t(u >> 16 & 0x8000u);
    else
      bits = uint16_t((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
  bool operator==(const bf16&) const = default;
};

// IEEE half storage; conversions to nearest, ties to even.
struct f16 {
  uint16_t bits = 0;
  f16() = default;
  explicit f16(float value);
  explicit operator float() const;
  bool operator==(const f16&) const = default;
};

template <class T>
struct dtype_of;
template <>
struct dtype_of<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct dtype_of<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_of<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_of<f16> {
  static constexpr DType value = DType::f16;
};
template <>
struct dtype_of<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct dtype_of<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct dtype_of<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct dtype_of<bool> {
  static constexpr DType value = DType::boolean;
};

// Calls f(T{}) with the C++ type of `t`: visit_dtype(t, [&](auto zero) { using T = decltype(zero);
// ... }).
template <class F>
decltype(auto) visit_dtype(DType t, F&& f) {
  switch (t) {
    case DType::f64:
      return f(double{});
    case DType::f32:
      return f(float{});
    case DType::bf16:
      return f(bf16{});
    case DType::f16:
      return f(f16{});
    case DType::i64:
      return f(int64_t{});
    case DType::i32:
      return f(int32_t{});
    case DType::u8:
      return f(uint8_t{});
    case DType::boolean:
      break;
  }
  return f(bool{});
}

}  // namespace weft
