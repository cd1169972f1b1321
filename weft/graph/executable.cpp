#include "weft/graph/executable.h"

#include <algorithm>
#include <chrono>

#include "weft/graph/passes.h"
#include "weft/graph/plan.h"
#include "weft/graph/views.h"

namespace weft {
namespace {

DType key_dtype(const Launch& l) {
  for (const View& v : l.in)
    if (is_float(v.dtype)) return v.dtype;
  return l.in.empty() ? l.out[0].dtype : l.in[0].dtype;
}

}  // namespace

Executable::Executable(Graph graph, Device& device, ExecutableOptions options)
    : graph_(std::move(graph)),
      device_(device),
      donated_(std::move(options.donated)),
      keep_memory_(options.keep_memory) {
  donated_.resize(graph_.inputs.size(), false);
  run_passes(graph_, device.kind(), {options.fuse, options.trace});
  plan();
}

View Executable::view_of(ValueId v) const {
  if (v == no_value) return {};
  const Value& value = values_[size_t(v)];
  // Not null, so that scratch sizes know which outputs are wanted; run() puts the address there.
  return {reinterpret_cast<std::byte*>(Arena::alignment), graph_.values[size_t(v)].dtype,
          value.shape, value.strides};
}

// The kernel table is asked once the step's shapes are known; the row is kept.
Launch Executable::launch_of(const Step& step, std::byte* scratch, Stream& stream) const {
  const std::span<const View> all(views_);
  return {step.node.attrs, all.subspan(step.views, step.node.in.size()),
          all.subspan(step.views + step.node.in.size(), step.node.out.size()), scratch, stream};
}

// The strides of a view node's outputs over its input's bytes.
void Executable::resolve_view(const GraphNode& n) {
  const Value& from = values_[size_t(n.in[0])];
  for (size_t o = 0; o < n.out.size(); ++o) {
    if (n.out[o] == no_value) continue;
    Value& to = values_[size_t(n.out[o])];
    const std::optional<ViewDerivation> d =
        derive_view(*n.op, n.attrs, from.shape, from.strides, to.shape, int(o));
    WEFT_CHECK(d.has_value(), "{} of strides {}", n.op->name, from.strides.str());
    to.strides = d->strides;
    to.offset = from.offset + d->offset * int64_t(dtype_size(graph_.values[size_t(n.in[0])].dtype));
  }
}

// Resolves all shapes for symbols_ (or their maxima while planning): values first, then the steps'
// arguments.
void Executable::resolve() {
  const auto concrete = [&](ValueId v) {
    const Dims& dims = graph_.values[size_t(v)].dims;
    return at_maxima_ ? dims.max_shape() : dims.shape(symbols_);
  };
  for (size_t v = 0; v < values_.size(); ++v) {
    values_[v].shape = concrete(ValueId(v));
    values_[v].strides = Layout::contiguous(values_[v].shape).strides;
  }
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const GraphNode& n = graph_.nodes[i];
    if (!n.op->view || copied_[i]) continue;
    resolve_view(n);
  }
  views_.clear(), base_.clear();
  for (Step& step : steps_) {
    step.views = views_.size();
    for (const ValueId v : step.node.in) views_.push_back(view_of(v));
    for (const ValueId v : step.node.out) views_.push_back(view_of(v));
  }
}

void Executable::plan() {
  at_maxima_ = true;
  values_.resize(graph_.values.size());
  // An output that is given twice or is an input gets bytes of its own, except a donated input,
  // which is handed back.
  std::vector<bool> taken(graph_.values.size(), false);
  for (size_t i = 0; i < graph_.inputs.size(); ++i) taken[size_t(graph_.inputs[i])] = !donated_[i];
  for (ValueId& v : graph_.outputs) {
    if (taken[size_t(v)]) {
      const ValueId copy = graph_.add_value(graph_.values[size_t(v)]);
      graph_.nodes.push_back({&copy_op, {}, {v}, {copy}});
      v = copy;
      taken.push_back(true);
    }
    taken[size_t(v)] = true;
  }
  values_.resize(graph_.values.size());
  choose_views();
  find_last_reads();
  assign_storages();
  place();
  given_.resize(graph_.outputs.size());
  at_maxima_ = false;
}

bool Executable::may_alias(const GraphNode& n, const std::vector<bool>& is_output) const {
  const Value& from = values_[size_t(n.in[0])];
  for (size_t o = 0; o < n.out.size(); ++o) {
    const ValueId v = n.out[o];
    if (v == no_value) continue;
    if (is_output[size_t(v)]) return false;
    const std::optional<ViewDerivation> d =
        derive_view(*n.op, n.attrs, from.shape, from.strides,
                    graph_.values[size_t(v)].dims.max_shape(), int(o));
    if (!d) return false;
    if (Layout{d->shape, d->strides}.is_contiguous()) continue;
    for (const GraphNode& consumer : graph_.nodes)
      if (std::ranges::count(consumer.in, v) && !consumer.op->strided) return false;
  }
  return true;
}

// A view node moves nothing when every consumer takes its strides; else it becomes a copy. A kernel
// that cannot take the strides it would get sends the views it reads back to be copies, and the
// choice is made again.
void Executable::choose_views() {
  copied_.assign(graph_.nodes.size(), false);
  std::vector<bool> is_output(graph_.values.size(), false);
  for (const ValueId v : graph_.outputs) is_output[size_t(v)] = true;
  std::vector<bool> forced(graph_.nodes.size(), false);
  for (bool settled = false; !settled;) {
    settled = true;
    copied_.assign(graph_.nodes.size(), true);
    steps_.clear();
    resolve();
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const GraphNode& n = graph_.nodes[i];
      if (!n.op->view || forced[i] || !may_alias(n, is_output)) continue;
      copied_[i] = false;
      resolve_view(n);
    }
    list_steps();
    resolve();
    const std::vector<int> defs = graph_.definitions();
    for (const Step& step : steps_) {
      if (!step.kernel->accepts || step.kernel->accepts(launch_of(step, nullptr, device_.stream())))
        continue;
      bool found = false;
      for (const ValueId v : step.node.in) {
        const int d = defs[size_t(v)];
        if (d >= 0 && graph_.nodes[size_t(d)].op->view && !copied_[size_t(d)])
          forced[size_t(d)] = found = true;
      }
      WEFT_CHECK(found, "no kernel for {}", step.node.attrs.str());
      settled = false;
    }
  }
}

void Executable::list_steps() {
  steps_.clear();
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const GraphNode& n = graph_.nodes[i];
    if (n.op->view && !copied_[i]) continue;
    steps_.push_back({n, nullptr, 0, -1});
  }
  resolve();
  for (Step& step : steps_) {
    const Op& op = *step.node.op;
    step.kernel =
        find_kernel(op, device_.kind(), key_dtype(launch_of(step, nullptr, device_.stream())));
    if (!step.kernel)
      throw_error(ErrorKind::internal, "[{}] has no kernel for {}", op.name,
                  dtype_name(key_dtype(launch_of(step, nullptr, device_.stream()))));
  }
}

void Executable::find_last_reads() {
  for (Value& v : values_) v.last_read = -1, v.alias = false;
  for (size_t s = 0; s < steps_.size(); ++s)
    for (const ValueId v : steps_[s].node.in) values_[size_t(v)].last_read = int(s);
  for (const ValueId v : graph_.outputs) values_[size_t(v)].last_read = int(steps_.size());
  for (size_t i = graph_.nodes.size(); i-- > 0;) {
    const GraphNode& n = graph_.nodes[i];
    if (!n.op->view || copied_[i]) continue;
    int& source = values_[size_t(n.in[0])].last_read;
    for (const ValueId v : n.out) {
      if (v == no_value) continue;
      values_[size_t(v)].alias = true;
      source = std::max(source, values_[size_t(v)].last_read);
    }
  }
}

// The storage of an input that this output may be written over: read here for the last time, same
// bytes.
int Executable::storage_in_place(size_t s, size_t out, bool is_output) const {
  const Step& step = steps_[s];
  const ValueId v = step.node.out[out];
  const auto fits = [&](ValueId u) {
    const Value& value = values_[size_t(u)];
    const Storage& storage = storages_[size_t(value.storage)];
    bool whole = !value.alias && value.offset == 0 && storage.last <= int(s);
    for (const ValueId other : step.node.in)
      if (other != u && values_[size_t(other)].storage == value.storage) whole = false;
    const bool place = storage.reusable && (!is_output || storage.where == Storage::input);
    return whole && place && graph_.values[size_t(u)] == graph_.values[size_t(v)];
  };
  if (step.node.op == &fused_pointwise_op) {
    for (const ValueId u : step.node.in)
      if (fits(u)) return values_[size_t(u)].storage;
    return -1;
  }
  if (out >= step.node.op->in_place.size() || step.node.op->in_place[out] < 0) return -1;
  if (size_t(step.node.op->in_place[out]) >= step.node.in.size())
    return -1;  // an optional input that is not there
  const ValueId u = step.node.in[size_t(step.node.op->in_place[out])];
  return fits(u) ? values_[size_t(u)].storage : -1;
}

// A donated input that nobody reads any more and that has just the bytes of an output.
int Executable::storage_of_donated(size_t s, int64_t bytes,
                                   const std::vector<bool>& claimed) const {
  for (size_t i = 0; i < storages_.size(); ++i) {
    const Storage& x = storages_[i];
    if (x.where == Storage::input && x.reusable && !claimed[i] && x.bytes == bytes &&
        x.last < int(s))
      return int(i);
  }
  return -1;
}

void Executable::assign_storages() {
  storages_.clear();
  std::vector<int> output_of(graph_.values.size(), -1);
  for (size_t o = 0; o < graph_.outputs.size(); ++o) output_of[size_t(graph_.outputs[o])] = int(o);
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    Value& v = values_[size_t(graph_.inputs[i])];
    v.storage = int(storages_.size());
    storages_.push_back({Storage::input, int(i),
                         int64_t(graph_.values[size_t(graph_.inputs[i])].max_bytes()), -1,
                         v.last_read, bool(donated_[i])});
  }
  std::vector<bool> claimed;
  size_t next_step = 0;
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const GraphNode& n = graph_.nodes[i];
    if (n.op->view && !copied_[i]) {
      for (const ValueId v : n.out)
        if (v != no_value) values_[size_t(v)].storage = values_[size_t(n.in[0])].storage;
      continue;
    }
    const size_t s = next_step++;
    for (size_t o = 0; o < n.out.size(); ++o) {
      if (n.out[o] == no_value) continue;
      Value& v = values_[size_t(n.out[o])];
      const int output = output_of[size_t(n.out[o])];
      const int64_t bytes = int64_t(graph_.values[size_t(n.out[o])].max_bytes());
      claimed.resize(storages_.size(), false);
      v.storage = storage_in_place(s, o, output >= 0);
      if (v.storage < 0 && output >= 0) v.storage = storage_of_donated(s, bytes, claimed);
      if (v.storage < 0) {
        v.storage = int(storages_.size());
        storages_.push_back({output >= 0 ? Storage::output : Storage::arena, output, bytes, int(s),
                             int(s), output < 0});
      }
      claimed.resize(storages_.size(), false);
      if (output >= 0) claimed[size_t(v.storage)] = true;
      Storage& storage = storages_[size_t(v.storage)];
      storage.last = std::max({storage.last, v.last_read, int(s)});
    }
    const Launch l = launch_of(steps_[s], nullptr, device_.stream());
    const int64_t scratch = steps_[s].kernel->scratch ? int64_t(steps_[s].kernel->scratch(l)) : 0;
    if (scratch == 0) continue;
    steps_[s].scratch = int(storages_.size());
    storages_.push_back({Storage::arena, -1, scratch, int(s), int(s), false});
  }
}

void Executable::place() {
  std::vector<Block> blocks;
  std::vector<int> which;
  for (size_t i = 0; i < storages_.size(); ++i) {
    const Storage& s = storages_[i];
    if (s.where == Storage::input) memory_.input_bytes += s.bytes;
    if (s.where == Storage::output) memory_.output_bytes += s.bytes;
    if (s.where != Storage::arena) continue;
    blocks.push_back({s.bytes, s.first, s.last});
    which.push_back(int(i));
  }
  const Placement placed = place_blocks(blocks, int64_t(Arena::alignment));
  for (size_t b = 0; b < blocks.size(); ++b) storages_[size_t(which[b])].offset = blocks[b].offset;
  memory_.arena_bytes = placed.bytes;
  memory_.lower_bound = placed.lower_bound;
}

void Executable::bind(const std::vector<Array>& inputs) {
  WEFT_CHECK(inputs.size() == graph_.inputs.size(), "{} inputs of {}", inputs.size(),
             graph_.inputs.size());
  SymbolValues found;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& type = graph_.values[size_t(graph_.inputs[i])];
    const Shape& shape = inputs[i].shape();
    if (inputs[i].dtype() != type.dtype || shape.rank() != type.dims.rank())
      user_error("input {} must be {}, got {}{}", i, type.str(), dtype_name(inputs[i].dtype()),
                 shape.str());
    for (int d = 0; d < shape.rank(); ++d) type.dims[size_t(d)].bind(shape[d], found);
    WEFT_CHECK(inputs[i].layout().is_contiguous(), "input {} has strides {}", i,
               inputs[i].layout().strides.str());
  }
  if (!views_.empty() && found == symbols_ && arena_.bytes() > 0) return;
  symbols_ = found;
  resolve();
}

BufferPtr Executable::output_buffer(size_t output, int64_t bytes) {
  std::vector<BufferPtr>& given = given_[output];
  for (const BufferPtr& buffer : given)
    if (buffer.use_count() == 1) return buffer;
  constexpr size_t kept = 2;
  if (given.size() >= kept) given.erase(given.begin());
  given.push_back(device_.allocate(size_t(bytes)));
  return given.back();
}

// Where the arguments of all steps lie.
void Executable::point_views() {
  View* view = views_.data();
  const auto point = [&](ValueId v) {
    if (v != no_value)
      view->data = base_[size_t(values_[size_t(v)].storage)] + values_[size_t(v)].offset;
    ++view;
  };
  for (const Step& step : steps_) {
    for (const ValueId v : step.node.in) point(v);
    for (const ValueId v : step.node.out) point(v);
  }
}

// Does nobody but the array (and the list of buffers handed out) hold its bytes?
bool Executable::is_sole_owner(const Array& array) const {
  if (array.data() != array.buffer()->data()) return false;
  long expected = 1;
  if (array.buffer().use_count() == expected) return true;
  for (const std::vector<BufferPtr>& given : given_)
    expected += std::ranges::count(given, array.buffer());
  return array.buffer().use_count() == expected;
}

std::vector<Array> Executable::run(std::vector<Array> inputs) {
  bind(inputs);
  if (arena_.bytes() == 0)
    arena_ = Arena(device_, size_t(std::max<int64_t>(memory_.arena_bytes, 64)));
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!donated_[i] || is_sole_owner(inputs[i])) continue;
    // Somebody else still holds these bytes: the donation is honoured over a copy.
    Array own(device_, inputs[i].dtype(), inputs[i].shape());
    device_.copy_from_host(own.data(), inputs[i].data(), own.bytes());
    inputs[i] = std::move(own);
  }
  std::vector<BufferPtr> output_buffers(graph_.outputs.size());
  std::vector<std::byte*> base(storages_.size());
  for (size_t i = 0; i < storages_.size(); ++i) {
    const Storage& s = storages_[i];
    if (s.where == Storage::input)
      base[i] = inputs[size_t(s.index)].data();
    else if (s.where == Storage::arena)
      base[i] = arena_.at(size_t(s.offset));
    else
      base[i] = (output_buffers[size_t(s.index)] = output_buffer(size_t(s.index), s.bytes))->data();
  }
  if (base != base_) {  // a training loop's buffers are the same in every step
    base_ = std::move(base);
    point_views();
  }
  Stream& stream = device_.stream();
  for (const Step& step : steps_) {
    const Launch launch =
        launch_of(step, step.scratch < 0 ? nullptr : base_[size_t(step.scratch)], stream);
    if (!observer_) {
      step.kernel->launch(launch);
      continue;
    }
    using clock = std::chrono::steady_clock;
    const auto start = clock::now();
    step.kernel->launch(launch);
    stream.synchronize();
    observer_(step.node, std::chrono::duration<double>(clock::now() - start).count());
  }
  std::vector<Array> outputs;
  outputs.reserve(graph_.outputs.size());
  for (size_t o = 0; o < graph_.outputs.size(); ++o) {
    const Value& v = values_[size_t(graph_.outputs[o])];
    const Storage& s = storages_[size_t(v.storage)];
    BufferPtr buffer =
        s.where == Storage::input ? inputs[size_t(s.index)].buffer() : output_buffers[o];
    outputs.emplace_back(std::move(buffer), 0, graph_.values[size_t(graph_.outputs[o])].dtype,
                         Layout::contiguous(v.shape));
  }
  if (!keep_memory_) {
    arena_ = {};
    for (std::vector<BufferPtr>& given : given_) given.clear();
  }
  return outputs;
}

}  // namespace weft
