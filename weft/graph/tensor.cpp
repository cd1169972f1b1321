#include "weft/graph/tensor.h"

#include <algorithm>
#include <atomic>

namespace weft {
namespace {

std::atomic<uint64_t> next_id{1};
std::atomic<Device*> chosen_device{nullptr};

std::string attr_str(const AttrValue& value) {
  struct Visitor {
    std::string operator()(int64_t x) const { return std::to_string(x); }
    std::string operator()(double x) const { return format("{:a}", x); }
    std::string operator()(const std::string& x) const { return x; }
    std::string operator()(const std::vector<int64_t>& x) const {
      std::string s = "(";
      for (const int64_t i : x) s += format("{}{}", s.size() > 1 ? "," : "", i);
      return s + ")";
    }
    std::string operator()(const Dims& x) const { return x.str(); }
    std::string operator()(DType x) const { return std::string(dtype_name(x)); }
    std::string operator()(const SubFunction& x) const {
      return format("fn@{}", static_cast<const void*>(x.get()));
    }
    std::string operator()(const ProgramPtr& x) const {
      return format("program@{}", static_cast<const void*>(x.get()));
    }
  };
  return std::visit(Visitor{}, value);
}

}  // namespace

std::string TensorType::str() const {
  return std::string(dtype_name(dtype)) + dims.str();
}

const AttrValue* Attrs::find(std::string_view name) const {
  for (const auto& [key, value] : items_)
    if (key == name) return &value;
  return nullptr;
}

void Attrs::set(const char* name, AttrValue value) {
  for (auto& [key, old] : items_)
    if (key == name) {
      old = std::move(value);
      return;
    }
  items_.emplace_back(name, std::move(value));
}

bool Attrs::operator==(const Attrs& other) const {
  return items_ == other.items_;
}

std::string Attrs::str() const {
  std::string s;
  for (const auto& [key, value] : items_)
    s += format("{}{}={}", s.empty() ? "" : " ", key, attr_str(value));
  return s;
}

Node::Node() : id(next_id.fetch_add(1)) {}

// A long chain of pending nodes is freed in a loop: destructors that recurse would exhaust the
// stack.
Node::~Node() {
  std::vector<std::shared_ptr<Node>> doomed;
  const auto take = [&](Tensors& held) {
    for (const Tensor& t : held) doomed.push_back(t.node());
    held.clear();
  };
  take(inputs);
  while (!doomed.empty()) {
    const std::shared_ptr<Node> node = std::move(doomed.back());
    doomed.pop_back();
    if (node.use_count() == 1) take(node->inputs);
  }
}

// The memory of what it held is used again.
void Node::hold(Array value) {
  const std::span<const int64_t> dims = value.shape().dims();
  types.resize(1);
  types[0].dtype = value.dtype();
  types[0].dims.assign(dims.begin(), dims.end());
  values.clear();
  values.push_back(std::move(value));
  donated = false;
}

Tensor::Tensor(Array value) : node_(std::make_shared<Node>()) {
  node_->hold(std::move(value));
}

const TensorType& Tensor::type() const {
  WEFT_CHECK(node_ != nullptr);
  return node_->types[size_t(index_)];
}

bool Tensor::has_value() const {
  return node_ && !node_->values.empty();
}

const Array& Tensor::value() const {
  WEFT_CHECK(node_ != nullptr);
  if (node_->donated)
    user_error(
        "this {} tensor was donated to a jit call, which may have overwritten it; use the call's "
        "result",
        type().str());
  if (node_->values.empty()) eval({*this});
  return node_->values[size_t(index_)];
}

double Tensor::item() const {
  const Array& array = value();
  if (array.elements() != 1)
    user_error("item() needs one element, this tensor is {}", type().str());
  return array.to_vector<double>()[0];
}

Tensors make_node(const Op& op, Tensors inputs, Attrs attrs) {
  std::vector<TensorType> in;
  for (const Tensor& t : inputs) {
    if (!t) user_error("[{}] input {} is an empty tensor", op.name, in.size());
    if (t.node()->donated)
      user_error("[{}] input {} was donated to a jit call", op.name, in.size());
    in.push_back(t.type());
  }
  auto node = std::make_shared<Node>();
  node->op = &op;
  node->types = op.infer(in, attrs);
  node->inputs = std::move(inputs);
  node->attrs = std::move(attrs);
  Tensors out;
  for (size_t i = 0; i < node->types.size(); ++i) out.emplace_back(node, int(i));
  return out;
}

Tensor placeholder(const TensorType& type) {
  auto node = std::make_shared<Node>();
  node->types = {type};
  return Tensor(std::move(node), 0);
}

Tensor symbolic(const Tensor& leaf, int axis, Symbol symbol) {
  const Array& array = leaf.value();
  Tensor t(array);
  const int i = t.dims().axis(axis);
  if (array.shape()[i] > symbol.max())
    user_error("{} is {}, above its maximum {}", symbol.name(), array.shape()[i], symbol.max());
  t.node()->types = {leaf.type()};
  t.node()->types[0].dims[size_t(i)] = Dim(symbol);
  return t;
}

Device& default_device() {
  if (Device* device = chosen_device.load()) return *device;
  static CpuDevice& device = *new CpuDevice;  // never destroyed: static tensors may outlive main
  Device* expected = nullptr;
  chosen_device.compare_exchange_strong(expected, &device);
  return *chosen_device.load();
}

void set_default_device(Device& device) {
  chosen_device = &device;
}

}  // namespace weft
