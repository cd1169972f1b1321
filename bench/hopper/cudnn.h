// cuDNN's graph API, found at run time: tensors and operations on them are described, and a plan is
// asked for that does all of them in one or a few kernels. Declared here, numbers from
// cudnn_graph.h of cuDNN 9, so that the bench builds without the library.
#pragma once
#include <array>
#include <deque>
#include <dlfcn.h>
#include <initializer_list>
#include <string>
#include <vector>

#include "weft/base/error.h"
#include "weft/device/cuda/cuda_device.h"

namespace weft::bench {

#define WEFT_CUDNN(X)                                                           \
  X(create, cudnnCreate, (void**))                                              \
  X(set_stream, cudnnSetStream, (void*, void*))                                 \
  X(make, cudnnBackendCreateDescriptor, (int, void**))                          \
  X(destroy, cudnnBackendDestroyDescriptor, (void*))                            \
  X(set, cudnnBackendSetAttribute, (void*, int, int, int64_t, const void*))     \
  X(get, cudnnBackendGetAttribute, (void*, int, int, int64_t, int64_t*, void*)) \
  X(finalize, cudnnBackendFinalize, (void*))                                    \
  X(execute, cudnnBackendExecute, (void*, void*, void*))

struct Cudnn {
  // False when it is not there; dlerror() says why.
  bool load(const std::string& path, CudaStream& stream) {
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (!library) return false;
#define WEFT_CUDNN_LOAD(member, symbol, parameters)                        \
  member = reinterpret_cast<int(*) parameters>(::dlsym(library, #symbol)); \
  if (!member) return false;
    WEFT_CUDNN(WEFT_CUDNN_LOAD)
#undef WEFT_CUDNN_LOAD
    last_error =
        reinterpret_cast<void (*)(char*, size_t)>(::dlsym(library, "cudnnGetLastErrorString"));
    if (!last_error) return false;
    ok(create(&handle), "cudnnCreate");
    ok(set_stream(handle, stream.handle()), "cudnnSetStream");
    return true;
  }
  void ok(int status, const std::string& call) const {
    if (status != 0) resource_error("{} gave status {}: {}", call, status, why());
  }
  std::string why() const {
    char text[1024] = "";
    last_error(text, sizeof text);
    return text;
  }
  void* handle = nullptr;
#define WEFT_CUDNN_MEMBER(member, symbol, parameters) int(*member) parameters = nullptr;
  WEFT_CUDNN(WEFT_CUDNN_MEMBER)
#undef WEFT_CUDNN_MEMBER
  void (*last_error)(char*, size_t) = nullptr;
};

namespace cudnn {

enum Type : int { f32 = 0, i32 = 4, bf16 = 9, boolean = 11 };
enum Mode : int {  // of pointwise operations
  add = 0,
  mul = 1,
  div = 6,
  sub = 9,
  exp = 13,
  log = 15,
  identity = 21,
  not_less = 303,
  index = 501,
  select = 601,
};
enum Sum : int { of_all = 0, largest = 3 };
using Sizes = std::array<int64_t, 4>;

// Kinds of descriptors, their attributes, and the types of those.
enum Kind : int {
  of_pointwise = 0,
  of_proposal = 3,
  of_heuristics = 4,
  of_plan = 5,
  pointwise_operation = 13,
  of_graph = 15,
  of_addresses = 16,
  of_tensor = 17,
  of_matmul = 18,
  matmul_operation = 19,
  of_reduction = 21,
  reduction_operation = 22,
  reshape_operation = 31,
};
enum Name : int {
  pointwise_mode = 0,
  pointwise_compute = 1,
  pointwise_axis = 9,
  heuristics_mode = 200,
  heuristics_graph = 201,
  heuristics_results = 202,
  plan_handle = 400,
  plan_proposal = 401,
  plan_workspace = 402,
  pointwise_how = 750,
  pointwise_x = 751,
  pointwise_b = 752,
  pointwise_y = 753,
  pointwise_t = 758,
  graph_handle = 800,
  graph_operations = 801,
  tensor_alignment = 900,
  tensor_type = 901,
  tensor_size = 902,
  tensor_stride = 903,
  tensor_id = 906,
  tensor_virtual = 907,
  tensor_by_value = 908,
  addresses_ids = 1000,
  addresses_pointers = 1001,
  addresses_workspace = 1003,
  matmul_compute = 1500,
  matmul_a = 1520,
  matmul_b = 1521,
  matmul_c = 1522,
  matmul_how = 1523,
  reduction_sum = 1600,
  reduction_compute = 1601,
  reduction_x = 1610,
  reduction_y = 1611,
  reduction_how = 1612,
  reshape_x = 2200,
  reshape_y = 2201,
};
enum ValueType : int {
  t_handle = 0,
  t_type = 1,
  t_bool = 2,
  t_int = 3,
  t_pointer = 6,
  t_heuristic = 8,
  t_mode = 14,
  t_descriptor = 15,
  t_sum = 18,
};

// A descriptor while it is written; finalize() makes it usable.
class Description {
 public:
  Description(const Cudnn& lib, Kind kind) : lib_(&lib) {
    lib.ok(lib.make(kind, &raw), format("cudnnBackendCreateDescriptor({})", int(kind)));
  }
  ~Description() { lib_->destroy(raw); }
  Description(const Description&) = delete;
  Description& operator=(const Description&) = delete;
  template <class T>
  Description& set(Name name, ValueType type, const T* values, int64_t count) {
    lib_->ok(lib_->set(raw, name, type, count, values), format("cuDNN attribute {}", int(name)));
    return *this;
  }
  template <class T>
  Description& set(Name name, ValueType type, const T& value) {
    return set(name, type, &value, 1);
  }
  Description& finalize(const char* what) {
    lib_->ok(lib_->finalize(raw), format("cudnnBackendFinalize of {}", what));
    return *this;
  }
  void* raw = nullptr;

 private:
  const Cudnn* lib_;
};

struct Tensor {
  void* raw = nullptr;
  int64_t id = 0;
  Sizes size{};
};

// Operations, in the order in which they are described; then a plan for all of them.
class Graph {
 public:
  explicit Graph(const Cudnn& lib) : lib_(lib) {}

  // In device memory; launch() takes the addresses in the order of these calls.
  Tensor memory(Type type, Sizes size, Sizes stride) {
    const Tensor t = tensor(type, size, stride, false, false);
    ids_.push_back(t.id);
    return t;
  }
  // Between two operations, without memory unless the plan takes some of its workspace.
  Tensor between(Type type, Sizes size) {
    return tensor(type, size, {size[1] * size[2] * size[3], size[2] * size[3], size[3], 1}, true,
                  false);
  }
  Tensor between(Type type, Sizes size, Sizes stride) {
    return tensor(type, size, stride, true, false);
  }
  Tensor value(float v) {
    const Tensor t = tensor(f32, {1, 1, 1, 1}, {1, 1, 1, 1}, false, true);
    values_.push_back({t.id, v});
    return t;
  }

  void matmul(const Tensor& a, const Tensor& b, const Tensor& c) {
    Description& how = keep(of_matmul).set(matmul_compute, t_type, f32).finalize("a product");
    operation(matmul_operation,
              {{matmul_a, a.raw}, {matmul_b, b.raw}, {matmul_c, c.raw}, {matmul_how, how.raw}});
  }
  // y = mode(x, b), for select: t ? x : b.
  Tensor pointwise(Mode mode, Tensor y, const Tensor& x, const Tensor& b = {},
                   const Tensor& t = {}) {
    return pointwise(mode, y, x, b, t, f32, -1);
  }
  // y = x >= b.
  Tensor compare(Tensor y, const Tensor& x, const Tensor& b) {
    return pointwise(not_less, y, x, b, {}, boolean, -1);
  }
  // y: each element's index along an axis of x.
  Tensor index_of(Tensor y, const Tensor& x, int64_t axis) {
    return pointwise(index, y, x, {}, {}, i32, axis);
  }
  // Along the axes that have size 1 in y.
  Tensor reduce(Sum sum, Tensor y, const Tensor& x) {
    Description& how = keep(of_reduction)
                           .set(reduction_compute, t_type, f32)
                           .set(reduction_sum, t_sum, sum)
                           .finalize("a reduction");
    operation(reduction_operation,
              {{reduction_x, x.raw}, {reduction_y, y.raw}, {reduction_how, how.raw}});
    return y;
  }
  Tensor reshape(Tensor y, const Tensor& x) {
    operation(reshape_operation, {{reshape_x, x.raw}, {reshape_y, y.raw}});
    return y;
  }

  // The first proposal of the heuristics for which there is a plan. Bytes of its workspace.
  int64_t build() {
    Description& graph = keep(of_graph).set(graph_handle, t_handle, lib_.handle);
    graph.set(graph_operations, t_descriptor, operations_.data(), int64_t(operations_.size()));
    graph.finalize("the graph");
    constexpr int mode_a = 3;
    Description& heuristics = keep(of_heuristics)
                                  .set(heuristics_graph, t_descriptor, graph.raw)
                                  .set(heuristics_mode, t_heuristic, mode_a);
    heuristics.finalize("the heuristics");
    std::vector<void*> proposals;
    for (int i = 0; i < 8; ++i) proposals.push_back(keep(of_proposal).raw);
    int64_t count = 0;
    lib_.ok(lib_.get(heuristics.raw, heuristics_results, t_descriptor, 8, &count, proposals.data()),
            "cuDNN's heuristics");
    std::string reasons;
    for (size_t i = 0; i < size_t(count) && !plan_; ++i) try_plan(proposals[i], reasons);
    if (!plan_) resource_error("cuDNN has no plan among {} proposals:{}", count, reasons);
    int64_t bytes = 0;
    lib_.ok(lib_.get(plan_, plan_workspace, t_int, 1, &count, &bytes), "the plan's workspace");
    return bytes;
  }

  // addresses: of what memory() described.
  void launch(const std::vector<std::byte*>& addresses, std::byte* workspace) {
    WEFT_CHECK(addresses.size() == ids_.size(), "{} addresses for {} tensors", addresses.size(),
               ids_.size());
    std::vector<int64_t> ids = ids_;
    std::vector<void*> at(addresses.begin(), addresses.end());
    for (Value& v : values_) ids.push_back(v.id), at.push_back(&v.value);
    Description pack(lib_, of_addresses);
    pack.set(addresses_pointers, t_pointer, at.data(), int64_t(at.size()));
    pack.set(addresses_ids, t_int, ids.data(), int64_t(ids.size()));
    pack.set(addresses_workspace, t_pointer, static_cast<void*>(workspace)).finalize("addresses");
    lib_.ok(lib_.execute(lib_.handle, plan_, pack.raw), "cudnnBackendExecute");
  }

 private:
  struct Value {
    int64_t id;
    float value;
  };
  Description& keep(Kind kind) { return kept_.emplace_back(lib_, kind); }

  Tensor tensor(Type type, Sizes size, Sizes stride, bool is_virtual, bool by_value) {
    constexpr int64_t alignment = 16;
    const int64_t id = ++last_id_;
    Description& d = keep(of_tensor).set(tensor_id, t_int, id).set(tensor_type, t_type, type);
    d.set(tensor_alignment, t_int, alignment)
        .set(tensor_size, t_int, size.data(), 4)
        .set(tensor_stride, t_int, stride.data(), 4);
    d.set(tensor_virtual, t_bool, is_virtual)
        .set(tensor_by_value, t_bool, by_value)
        .finalize("a tensor");
    return {d.raw, id, size};
  }
  Tensor pointwise(Mode mode, Tensor y, const Tensor& x, const Tensor& b, const Tensor& t,
                   Type compute, int64_t axis) {
    Description& how = keep(of_pointwise)
                           .set(pointwise_mode, t_mode, mode)
                           .set(pointwise_compute, t_type, compute);
    if (axis >= 0) how.set(pointwise_axis, t_int, axis);
    how.finalize("a pointwise operation");
    operation(pointwise_operation, {{pointwise_how, how.raw},
                                    {pointwise_x, x.raw},
                                    {pointwise_b, b.raw},
                                    {pointwise_y, y.raw},
                                    {pointwise_t, t.raw}});
    return y;
  }
  struct Attribute {
    Name name;
    void* descriptor;  // null: left out
  };
  void operation(Kind kind, std::initializer_list<Attribute> attributes) {
    Description& d = keep(kind);
    for (const Attribute& a : attributes)
      if (a.descriptor) d.set(a.name, t_descriptor, a.descriptor);
    d.finalize(format("operation {} of kind {}", operations_.size(), int(kind)).c_str());
    operations_.push_back(d.raw);
  }
  void try_plan(void* proposal, std::string& reasons) {
    Description& plan = keep(of_plan)
                            .set(plan_handle, t_handle, lib_.handle)
                            .set(plan_proposal, t_descriptor, proposal);
    if (lib_.finalize(plan.raw) == 0)
      plan_ = plan.raw;
    else
      reasons += format(" {};", lib_.why());
  }

  const Cudnn& lib_;
  std::deque<Description> kept_;
  std::vector<void*> operations_;
  std::vector<int64_t> ids_;
  std::deque<Value> values_;
  int64_t last_id_ = 0;
  void* plan_ = nullptr;
};

}  // namespace cudnn
}  // namespace weft::bench
