// Runs a model over stretches of many sequences at once, and keeps their keys and values.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "weft/graph/jit.h"
#include "weft/models/model.h"

namespace weft::engine {

struct RunnerOptions {
  DType dtype = DType::bf16;  // of weights, activations, keys and values
  int64_t slots = 16;         // sequences at once
  int64_t context = 0;        // most tokens of one sequence; 0: the model's
  int64_t max_tokens = 256;   // in one run, all sequences together
  int64_t max_logits = 0;     // tokens of one run whose logits are wanted; 0: as many as slots
};

// Consecutive tokens of the sequence in one slot. Tokens before them have been run in this slot.
struct Chunk {
  int32_t slot = 0;
  int32_t begin = 0;  // position of the first
  std::span<const int32_t> tokens;
  int32_t logits = 0;  // of how many of the last tokens logits are wanted
};

// A token's logits are a function of its sequence up to it alone: the same bits however the
// sequence was cut into chunks, whatever runs beside it, and in the training forward.
class Runner {
 public:
  // Computes on default_device(). Takes the weights as they are saved (f32) and keeps its own cast
  // to options.dtype. Throws Error(data) when they do not fit the config, Error(user) for sizes
  // that make no sense.
  Runner(const models::ModelConfig& config, const Params& params,
         const RunnerOptions& options = {});
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Logits [wanted, vocab] of the wanted tokens in order, valid until the next run. The chunks are
  // of different slots. Allocates nothing on the device after the first runs.
  std::span<const float> run(std::span<const Chunk> chunks);

  const models::ModelConfig& config() const { return config_; }
  const RunnerOptions& options() const { return options_; }
  // How many executables have been made.
  size_t traces() const { return forward_.traces(); }
  // Of the last run; null before the first.
  Executable* executable() const { return forward_.executable(); }

 private:
  // What a run is given: symbolic views of the first elements of inputs_.
  struct Inputs {
    Tensor tokens, positions, cache_rows;  // i32[tokens]
    Tensor segments;                       // i32[segments, 4]
    Tensor rows;                           // i32[logits]: which tokens' logits are wanted
    template <class F>
    void each(F&& f) {
      f(tokens), f(positions), f(cache_rows), f(segments), f(rows);
    }
  };
  using Cache = std::vector<nn::KvLayer>;
  using Forward = std::function<std::pair<Cache, Tensor>(Cache, Inputs)>;
  // One kind of input: what the host prepares and where it lies on the device.
  struct Staged {
    std::vector<int32_t> host;
    Array device;
  };

  std::pair<Cache, Tensor> forward(Cache cache, const Inputs& in) const;
  void take_params(const Params& params);
  void stage(const Chunk& chunk);
  Inputs upload();

  models::ModelConfig config_;
  const models::Architecture& architecture_;
  RunnerOptions options_;
  Device& device_;
  Params params_;  // those of products packed
  Tensor head_;    // packed
  Cache cache_;  // [slots * context, kv_heads, head_dim]; a slot has `context` rows
  Staged tokens_, positions_, cache_rows_, segments_, rows_;
  std::vector<float> logits_;
  Jit<Forward> forward_;
};

}  // namespace weft::engine
