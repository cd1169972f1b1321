// Sizes of graph tensors: constants, or multiples of named symbols with a maximum. Plans are made
// for the maximum; kernels get the sizes of the run, so one executable serves every batch and
// length.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/tensor/array.h"

namespace weft {

// A named size, 0 <= size <= max. Two symbols of one name and maximum are the same symbol.
class Symbol {
 public:
  Symbol(std::string_view name, int64_t max);
  const std::string& name() const { return info_->name; }
  int64_t max() const { return info_->max; }
  bool operator==(const Symbol&) const = default;

 private:
  friend class Dim;
  struct Info {
    std::string name;
    int64_t max;
  };
  explicit Symbol(const Info* info) : info_(info) {}
  const Info* info_;
};

// What the symbols are worth in one run.
class SymbolValues {
 public:
  void bind(Symbol symbol,
            int64_t value);  // throws Error(user) above the maximum or when bound to another value
  int64_t operator[](Symbol symbol) const;
  bool operator==(const SymbolValues&) const = default;
  void clear() { values_.clear(); }

 private:
  std::vector<std::pair<Symbol, int64_t>> values_;
};

// factor * symbol, or just factor.
class Dim {
 public:
  Dim(int64_t value = 1) : factor_(value) {}
  Dim(int value) : factor_(value) {}
  Dim(Symbol symbol) : factor_(1), symbol_(symbol.info_) {}

  bool is_constant() const { return symbol_ == nullptr; }
  int64_t constant() const;  // throws Error(internal) when symbolic
  int64_t max() const { return symbol_ ? factor_ * symbol_->max : factor_; }
  int64_t value(const SymbolValues& values) const;
  // Binds this dim's symbol so that value() == size. Throws Error(user) when that cannot be.
  void bind(int64_t size, SymbolValues& values) const;
  std::string str() const;
  bool operator==(const Dim&) const = default;
  friend Dim operator*(Dim a, Dim b);
  // The exact quotient; throws Error(user) when there is none.
  friend Dim operator/(Dim a, Dim b);

 private:
  int64_t factor_;
  const Symbol::Info* symbol_ = nullptr;
};

class Dims : public std::vector<Dim> {
 public:
  using std::vector<Dim>::vector;
  Dims(const Shape& shape) : std::vector<Dim>(shape.dims().begin(), shape.dims().end()) {}
  int rank() const { return int(size()); }
  Dim elements() const;
  Shape max_shape() const;
  Shape shape(const SymbolValues& values) const;
  bool is_constant() const;
  std::string str() const;
  int axis(int i) const;  // maps a negative axis from the end; throws Error(user) outside the rank
};

}  // namespace weft
