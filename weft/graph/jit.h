// jit: trace a function once per signature, afterwards only run its executable. value_and_grad and
// grad: functions of functions. Together:
//
//   auto loss = [&](const Params& p, const Batch& b) { return cross_entropy(model(p, b.tokens),
//   b.targets); }; auto step = jit([&](State s, Batch b) {
//     auto [l, g] = value_and_grad(loss)(s.params, b);
//     return std::pair(update(s, g), l);
//   }, donate(0));
#pragma once
#include <algorithm>
#include <any>
#include <map>
#include <memory>
#include <string>

#include "weft/graph/autodiff.h"
#include "weft/graph/executable.h"
#include "weft/graph/ops.h"
#include "weft/graph/tree.h"

namespace weft {

// Which arguments' buffers a jit function may write its results over. Their handles are errors
// afterwards.
struct Donate {
  std::vector<int> arguments;
};
template <class... Index>
Donate donate(Index... index) {
  return {{index...}};
}

// One traced signature.
struct Traced {
  std::unique_ptr<Executable> executable;
  std::vector<Array> captured;  // leaves that the function closed over, after the arguments' leaves
  std::any result;              // the function's result, whose tensors every call fills in
};

namespace detail {
// The same tensor as a node of its own, to be differentiated with respect to.
Tensor mark(const Tensor& t);
std::string signature(const Tensors& leaves);  // of their types: a key, not a text
std::unique_ptr<Traced> trace(const Tensors& outputs, const Tensors& placeholders,
                              std::vector<bool> donated, std::any result);
// Evaluates the leaves, takes the donated ones away from their handles, runs.
Tensors call(Traced& traced, Tensors leaves, const std::vector<bool>& donated);
}  // namespace detail

template <class F>
class Jit {
 public:
  Jit(F f, Donate donated) : f_(std::move(f)), donated_(std::move(donated)) {}

  template <class... Args>
  auto operator()(Args... args) {
    using Result = decltype(f_(args...));
    Tensors leaves;
    std::vector<bool> donated;
    int index = 0;
    [[maybe_unused]] const auto collect = [&](auto& arg) {
      const bool give = std::find(donated_.arguments.begin(), donated_.arguments.end(), index++) !=
                        donated_.arguments.end();
      for_each_tensor(arg,
                      [&](Tensor& t) { leaves.push_back(std::move(t)), donated.push_back(give); });
    };
    (collect(args), ...);
    std::unique_ptr<Traced>& traced = cache_[detail::signature(leaves)];
    if (!traced) {
      Tensors placeholders;
      [[maybe_unused]] const auto replace = [&](auto& arg) {
        for_each_tensor(arg, [&](Tensor& t) {
          placeholders.push_back(t = placeholder(leaves[placeholders.size()].type()));
        });
      };
      (replace(args), ...);
      Result result = f_(args...);
      const Tensors outputs = take_tensors(result);
      traced = detail::trace(outputs, placeholders, donated, std::move(result));
    }
    last_ = traced.get();
    return with_tensors(std::any_cast<Result>(traced->result),
                        detail::call(*traced, std::move(leaves), donated));
  }

  // How many signatures have been traced.
  size_t traces() const { return cache_.size(); }
  // Of the call before; null before the first.
  Executable* executable() const { return last_ ? last_->executable.get() : nullptr; }

 private:
  F f_;
  Donate donated_;
  std::map<std::string, std::unique_ptr<Traced>> cache_;
  Traced* last_ = nullptr;
};

template <class F>
Jit<F> jit(F f, Donate donated = {}) {
  return Jit<F>(std::move(f), std::move(donated));
}

// f(first, rest...) -> scalar, or a pair or tuple that begins with it. The result: {what f gave,
// the gradients of the scalar in the shape of `first`}.
template <class F>
auto value_and_grad(F f) {
  return [f](auto first, auto... rest) {
    for_each_tensor(first, [](Tensor& t) { t = detail::mark(t); });
    auto value = f(first, rest...);
    auto grads = with_tensors(first, gradients(tensors_of(value).at(0), tensors_of(first)));
    return std::pair(std::move(value), std::move(grads));
  };
}
template <class F>
auto grad(F f) {
  return [f](auto first, auto... rest) { return value_and_grad(f)(first, rest...).second; };
}

}  // namespace weft
