// Walking the tensors inside a value: tensors, vectors, maps, pairs and tuples of them, and structs
// that have
//   template <class F> void each(F&& f) { f(weights); f(bias); }
// The order is the declaration's (a map's: by key), so two values of one type line up.
#pragma once
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "weft/graph/tensor.h"

namespace weft {

template <class F>
void for_each_tensor(Tensor& value, F&& f) {
  f(value);
}
template <class T, class F>
void for_each_tensor(std::vector<T>& values, F&& f);
template <class K, class T, class F>
void for_each_tensor(std::map<K, T>& values, F&& f);
template <class... T, class F>
void for_each_tensor(std::tuple<T...>& values, F&& f);
template <class A, class B, class F>
void for_each_tensor(std::pair<A, B>& values, F&& f);

template <class T, class F>
requires requires(T& value, void (*visit)(Tensor&)) {
  value.each([](auto&) {});
}
void for_each_tensor(T& value, F&& f) {
  value.each([&](auto& member) { for_each_tensor(member, f); });
}
template <class T, class F>
void for_each_tensor(std::vector<T>& values, F&& f) {
  for (T& value : values) for_each_tensor(value, f);
}
template <class K, class T, class F>
void for_each_tensor(std::map<K, T>& values, F&& f) {
  for (auto& entry : values) for_each_tensor(entry.second, f);
}
template <class... T, class F>
void for_each_tensor(std::tuple<T...>& values, F&& f) {
  std::apply([&](auto&... value) { (for_each_tensor(value, f), ...); }, values);
}
template <class A, class B, class F>
void for_each_tensor(std::pair<A, B>& values, F&& f) {
  for_each_tensor(values.first, f);
  for_each_tensor(values.second, f);
}

template <class T>
Tensors tensors_of(T value) {
  Tensors found;
  for_each_tensor(value, [&](Tensor& t) { found.push_back(t); });
  return found;
}
// Takes the tensors out of `value`, in order; what is left can be filled again.
template <class T>
Tensors take_tensors(T& value) {
  Tensors taken;
  for_each_tensor(value, [&](Tensor& t) { taken.push_back(std::exchange(t, {})); });
  return taken;
}
template <class T>
void put_tensors(T& value, Tensors tensors) {
  size_t next = 0;
  for_each_tensor(value, [&](Tensor& t) { t = std::move(tensors.at(next++)); });
  WEFT_CHECK(next == tensors.size(), "{} tensors for {}", tensors.size(), next);
}
// `value` with its tensors replaced, in order.
template <class T>
T with_tensors(T value, Tensors tensors) {
  put_tensors(value, std::move(tensors));
  return value;
}

// Parameters and their like: tensors by path, "blocks.0.attention.qkv.weight".
using Params = std::map<std::string, Tensor>;

}  // namespace weft
