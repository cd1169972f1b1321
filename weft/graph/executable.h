// A compiled graph: kernels in order over one static memory plan.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weft/graph/graph.h"
#include "weft/graph/lowering.h"

namespace weft {

// What a run will need, known before it: bytes at the symbols' maxima.
struct MemoryPlan {
  int64_t input_bytes = 0;   // the caller's: parameters, state, batch
  int64_t output_bytes = 0;  // new buffers; outputs written over donated inputs are counted there
  int64_t arena_bytes = 0;   // temporaries as placed
  int64_t lower_bound = 0;   // the most temporaries alive at once
  int64_t peak_bytes() const { return input_bytes + output_bytes + arena_bytes; }
};

struct ExecutableOptions {
  std::vector<bool> donated = {};  // per graph input: its buffer may be overwritten; empty: none
  bool fuse = true;                // off: every node its own kernel, for tests
  bool keep_memory =
      true;  // off: the arena and the outputs are let go after a run that will not come again
  std::string* trace = nullptr;  // receives the graph after each pass
};

class Executable {
 public:
  // Runs the passes, picks kernels, plans memory. Allocates nothing on the device.
  Executable(Graph graph, Device& device, ExecutableOptions options = {});
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;

  // `inputs` in the graph's order; donated ones must not be used afterwards. Allocates the arena
  // and the outputs on the first calls, then nothing: an output's buffer is used again once the
  // caller has let go of it.
  std::vector<Array> run(std::vector<Array> inputs);

  // Called after every kernel of later runs with its node and its seconds; empty: not timed.
  using Observer = std::function<void(const GraphNode&, double)>;
  void observe(Observer observer) { observer_ = std::move(observer); }

  const MemoryPlan& memory() const { return memory_; }
  const Graph& graph() const { return graph_; }
  size_t kernel_count() const { return steps_.size(); }

 private:
  // The bytes that one or more values share: views and in-place results.
  struct Storage {
    enum Where : uint8_t { input, output, arena } where;
    int index;           // of the input or output
    int64_t bytes;       // at the maxima
    int first, last;     // steps
    bool reusable;       // arena or donated: may be overwritten after its last read
    int64_t offset = 0;  // in the arena
  };
  struct Value {
    int storage = -1;
    int64_t offset = 0;  // bytes into the storage
    Shape shape, strides;
    int last_read = -1;  // step; through views too
    bool alias = false;  // a view of another value
  };
  struct Step {
    GraphNode node;
    const KernelRow* kernel;
    size_t views;  // where its arguments start in views_
    int scratch;   // storage, or -1
  };

  void plan();
  void choose_views();
  bool may_alias(const GraphNode& node, const std::vector<bool>& is_output) const;
  void list_steps();
  void find_last_reads();
  void assign_storages();
  int storage_in_place(size_t step, size_t out, bool is_output) const;
  int storage_of_donated(size_t step, int64_t bytes, const std::vector<bool>& claimed) const;
  void place();
  void resolve_view(const GraphNode& node);
  void resolve();  // shapes, strides and arguments for the bound symbols
  View view_of(ValueId v) const;
  Launch launch_of(const Step& step, std::byte* scratch, Stream& stream) const;
  void bind(const std::vector<Array>& inputs);
  void point_views();
  bool is_sole_owner(const Array& array) const;
  BufferPtr output_buffer(size_t output, int64_t bytes);

  Graph graph_;
  Device& device_;
  std::vector<bool> donated_;
  bool keep_memory_;
  MemoryPlan memory_;
  std::vector<Value> values_;
  std::vector<bool> copied_;  // per node: a view whose consumers need contiguous bytes
  std::vector<Storage> storages_;
  std::vector<Step> steps_;
  std::vector<View> views_;                    // the arguments of all steps, one after another
  std::vector<std::vector<BufferPtr>> given_;  // per output: buffers handed out before
  SymbolValues symbols_;
  bool at_maxima_ = false;  // while planning
  Arena arena_;
  std::vector<std::byte*> base_;  // of the storages in the run before; empty: views_ are new
  Observer observer_;
};

}  // namespace weft
