// Tensor: a light handle to one output of an immutable graph node. Node: an op, its inputs and
// attributes. Op: the rules of an operation side by side. There is no global graph: nodes own their
// inputs.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "weft/graph/dim.h"

namespace weft {

class Tensor;
struct Node;
struct Op;

struct TensorType {
  DType dtype = DType::f32;
  Dims dims;
  bool operator==(const TensorType&) const = default;
  std::string str() const;  // "bf16[tokens, 768]"
  size_t max_bytes() const { return size_t(dims.elements().max()) * dtype_size(dtype); }
};

using Tensors = std::vector<Tensor>;

// The constants of a node, by name: axes, scalars, index letters, a checkpointed function.
using SubFunction = std::shared_ptr<const std::function<Tensors(const Tensors&)>>;
struct PointwiseProgram;  // a fused region (graph/ops/pointwise.h)
using ProgramPtr = std::shared_ptr<const PointwiseProgram>;
using AttrValue = std::variant<int64_t, double, std::string, std::vector<int64_t>, Dims, DType,
                               SubFunction, ProgramPtr>;
class Attrs {
 public:
  Attrs() = default;
  Attrs(std::initializer_list<std::pair<const char*, AttrValue>> items)
      : items_(items.begin(), items.end()) {}
  bool has(std::string_view name) const { return find(name) != nullptr; }
  int64_t integer(std::string_view name) const { return get<int64_t>(name); }
  double real(std::string_view name) const { return get<double>(name); }
  const std::string& text(std::string_view name) const { return get<std::string>(name); }
  const std::vector<int64_t>& list(std::string_view name) const {
    return get<std::vector<int64_t>>(name);
  }
  const Dims& dims(std::string_view name) const { return get<Dims>(name); }
  DType dtype(std::string_view name) const { return get<DType>(name); }
  const PointwiseProgram& program(std::string_view name) const { return *get<ProgramPtr>(name); }
  const SubFunction& function(std::string_view name) const { return get<SubFunction>(name); }
  void set(const char* name, AttrValue value);
  bool operator==(const Attrs& other) const;
  std::string str() const;

 private:
  const AttrValue* find(std::string_view name) const;
  template <class T>
  const T& get(std::string_view name) const {
    const AttrValue* value = find(name);
    WEFT_CHECK(value != nullptr && std::holds_alternative<T>(*value), "attribute {}", name);
    return std::get<T>(*value);
  }
  std::vector<std::pair<std::string, AttrValue>> items_;
};

class Tensor {
 public:
  Tensor() = default;
  Tensor(std::shared_ptr<Node> node, int index) : node_(std::move(node)), index_(index) {}
  // A leaf that holds the array.
  Tensor(Array value);

  explicit operator bool() const { return node_ != nullptr; }
  const TensorType& type() const;
  DType dtype() const { return type().dtype; }
  const Dims& dims() const { return type().dims; }
  Dim dim(int i) const { return dims()[size_t(dims().axis(i))]; }
  int rank() const { return dims().rank(); }
  // Already computed, or a leaf?
  bool has_value() const;
  // The computed array: evaluates what is pending. Throws Error(user) on a donated handle.
  const Array& value() const;
  // value() copied to the host; a scalar's single element.
  template <class T>
  std::vector<T> to_vector() const {
    return value().to_vector<T>();
  }
  double item() const;

  const std::shared_ptr<Node>& node() const { return node_; }
  int index() const { return index_; }
  bool operator==(const Tensor&) const = default;

 private:
  std::shared_ptr<Node> node_;
  int index_ = 0;
};

struct Node {
  const Op* op = nullptr;  // null: a leaf (input, constant or computed)
  Tensors inputs;
  Attrs attrs;
  std::vector<TensorType> types;  // one per output
  std::vector<Array> values;      // set once computed; a leaf has one
  bool donated = false;           // its buffer was given to a jit call
  uint64_t id = 0;                // ascending with creation: a topological order

  Node();
  ~Node();
  // Makes it a leaf that holds the array, whatever it was.
  void hold(Array value);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
};

// What a gradient rule sees: the node's inputs and outputs, and the cotangents of its outputs
// (empty where none).
struct VjpArgs {
  const Tensors& in;
  const Tensors& out;
  const Tensors& grad;
  const Attrs& attrs;
  // Which inputs want a gradient; the others may stay empty.
  const std::vector<bool>& wanted;
};

struct Op {
  std::string_view name;
  // Index letters, as "td,fd->tf"; "..." where all inputs and the output have one shape; "" where
  // letters cannot say.
  std::string_view letters;
  // Checks the inputs and gives the outputs' types. Throws Error(user): a sentence with expected
  // and got.
  std::vector<TensorType> (*infer)(const std::vector<TensorType>& in, const Attrs& attrs);
  // Cotangents of the inputs; null: not differentiable (its decomposition is tried first).
  Tensors (*vjp)(const VjpArgs& args) = nullptr;
  // The same outputs from simpler ops: oracle, higher-order gradient, default lowering.
  Tensors (*decompose)(const Tensors& in, const Attrs& attrs) = nullptr;
  // output i may be written over input in_place[i] (-1: no).
  std::vector<int> in_place = {};
  bool view = false;     // moves no data when its consumers take strides
  bool strided = false;  // its kernel reads strided inputs
  bool pure = true;      // equal nodes may be merged
  int required =
      1;  // its kernel always writes the first so many outputs; the others only when read
};

// The one way nodes are made: infers types, so that a shape error throws at the call that made it.
Tensors make_node(const Op& op, Tensors inputs, Attrs attrs = {});
inline Tensor make_one(const Op& op, Tensors inputs, Attrs attrs = {}) {
  return make_node(op, std::move(inputs), std::move(attrs))[0];
}

// A leaf without a value: what jit traces with.
Tensor placeholder(const TensorType& type);
// The same value with dimension `axis` declared to be `symbol`, so that jit plans for its maximum
// once.
Tensor symbolic(const Tensor& leaf, int axis, Symbol symbol);

// The device that eval uses for nodes without inputs; one per process, made on first use with all
// processors.
Device& default_device();
// Replaces it: tests and `--threads`. The caller keeps it alive.
void set_default_device(Device& device);

// Runs what is pending, all in one graph.
void eval(const Tensors& tensors);

}  // namespace weft
