#include "weft/graph/dim.h"

#include <map>
#include <memory>
#include <mutex>

namespace weft {

Symbol::Symbol(std::string_view name, int64_t max) {
  // Interned, so that a symbol is one pointer and equality is identity.
  static std::mutex mutex;
  static std::map<std::pair<std::string, int64_t>, std::unique_ptr<Info>> table;
  if (max < 0) user_error("symbol {} has maximum {}; it cannot be negative", name, max);
  const std::lock_guard lock(mutex);
  auto& entry = table[{std::string(name), max}];
  if (!entry) entry = std::make_unique<Info>(Info{std::string(name), max});
  info_ = entry.get();
}

void SymbolValues::bind(Symbol symbol, int64_t value) {
  if (value > symbol.max())
    user_error("{} is {}, but this was planned for at most {}", symbol.name(), value, symbol.max());
  for (const auto& [known, old] : values_)
    if (known == symbol) {
      if (old != value)
        user_error("{} is {} in one input and {} in another", symbol.name(), old, value);
      return;
    }
  values_.emplace_back(symbol, value);
}

int64_t SymbolValues::operator[](Symbol symbol) const {
  for (const auto& [known, value] : values_)
    if (known == symbol) return value;
  throw_error(ErrorKind::internal, "symbol {} is not bound by any input", symbol.name());
}

int64_t Dim::constant() const {
  WEFT_CHECK(is_constant(), "{}", str());
  return factor_;
}

int64_t Dim::value(const SymbolValues& values) const {
  return symbol_ ? factor_ * values[Symbol(symbol_)] : factor_;
}

void Dim::bind(int64_t size, SymbolValues& values) const {
  if (!symbol_) {
    if (size != factor_) user_error("a dimension of {} was expected, got {}", factor_, size);
    return;
  }
  if (size % factor_ != 0) user_error("a dimension of {} was expected, got {}", str(), size);
  values.bind(Symbol(symbol_), size / factor_);
}

std::string Dim::str() const {
  if (!symbol_) return std::to_string(factor_);
  return factor_ == 1 ? symbol_->name : format("{}*{}", factor_, symbol_->name);
}

Dim operator*(Dim a, Dim b) {
  if (a.symbol_ && b.symbol_)
    user_error("cannot multiply the symbolic sizes {} and {}", a.str(), b.str());
  Dim r;
  if (__builtin_mul_overflow(a.factor_, b.factor_, &r.factor_))
    user_error("a dimension of {} times {} is too large", a.str(), b.str());
  r.symbol_ = a.symbol_ ? a.symbol_ : b.symbol_;
  return r;
}

Dim operator/(Dim a, Dim b) {
  const bool divides =
      b.factor_ != 0 && a.factor_ % b.factor_ == 0 && (!b.symbol_ || a.symbol_ == b.symbol_);
  if (!divides) user_error("a dimension of {} cannot be divided into {}", a.str(), b.str());
  Dim r(a.factor_ / b.factor_);
  r.symbol_ = b.symbol_ ? nullptr : a.symbol_;
  return r;
}

Dim Dims::elements() const {
  Dim n(1);
  for (const Dim d : *this) n = n * d;
  return n;
}

Shape Dims::max_shape() const {
  std::vector<int64_t> s;
  for (const Dim d : *this) s.push_back(d.max());
  return Shape(s);
}

Shape Dims::shape(const SymbolValues& values) const {
  std::vector<int64_t> s;
  for (const Dim d : *this) s.push_back(d.value(values));
  return Shape(s);
}

bool Dims::is_constant() const {
  for (const Dim d : *this)
    if (!d.is_constant()) return false;
  return true;
}

std::string Dims::str() const {
  std::string s = "[";
  for (size_t i = 0; i < size(); ++i) s += (i ? ", " : "") + (*this)[i].str();
  return s + "]";
}

int Dims::axis(int i) const {
  if (i < -rank() || i >= rank()) user_error("axis {} does not exist in shape {}", i, str());
  return i < 0 ? i + rank() : i;
}

}  // namespace weft
