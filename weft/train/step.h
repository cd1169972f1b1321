// One optimizer step, compiled once: forward, backward, clipping and AdamW.
#pragma once
#include <functional>
#include <tuple>

#include "weft/graph/jit.h"
#include "weft/train/batch.h"
#include "weft/train/config.h"
#include "weft/train/samples.h"
#include "weft/train/state.h"

namespace weft::train {

// The batch's loss: weighted sum of the negative log-likelihoods. `weights` are of the config's
// dtype.
Tensor batch_loss(const TrainConfig& config, const Params& weights, const Batch::Tensors& batch);

// One step of AdamW or Muon. Gradients are clipped to a global norm; weight decay is for tensors
// with two or more dimensions.
struct Update {
  State state;
  Tensor norm;  // of the gradient, before clipping
  template <class F>
  void each(F&& f) {
    f(state), f(norm);
  }
};
Update update(const TrainConfig& config, const State& state, const Params& grads,
              const Tensor& hyper);

// Owns the state and takes it from step to step in place. With one micro-batch a step is one
// executable. With more, each micro-batch adds its gradient to its lane's sum, in order; lane l has
// the micro-batches l M / L to (l + 1) M / L - 1. Then the lanes are added in a binary tree, (0,
// 1), (2, 3), ..., and the weights updated. All is normalised by the tokens that the
// whole step predicts.
// Dropout of micro-batch i of step s draws its numbers as step s M + i.
class Stepper {
 public:
  // The samples must outlive it.
  Stepper(const TrainConfig& config, State state, Device& device, const Samples& samples);

  struct Outcome {
    double loss;           // mean over the step's tokens, nats
    double grad_norm;      // before clipping
    bool skipped = false;  // nothing was updated
  };
  // Whether a step of this loss and gradient norm is to be taken.
  using Accept = std::function<bool(double loss, double grad_norm)>;
  // Step number `step`, from 0, on the samples first_sample ... `accept` is asked if the config has
  // a skip_z; then the gradient is computed apart from the update, as for many micro-batches.
  Outcome run(int64_t step, int64_t first_sample, const Accept& accept = {});

  const State& state() const { return state_; }
  // Of state, gradients, batch and executables; known after the first step.
  int64_t planned_bytes() const;
  // Floating-point operations of one step, counted from the graphs: the model's are three times
  // those of the forward pass; the hardware's are what the compiled step does, known after the
  // first (0 for micro-batches).
  double model_flops() const;
  double hardware_flops() const;
  // Of a step that is one micro-batch; null before the first.
  Executable* executable() const { return whole_.executable(); }

 private:
  struct Sum {
    Params grads;
    Tensor loss;
    template <class F>
    void each(F&& f) {
      f(grads), f(loss);
    }
  };
  // The state's tensors, the gradient's norm, the loss: a step moves handles, not maps of paths.
  using Whole = std::tuple<Tensors, Tensor, Tensor>;

  bool in_parts() const { return config_.micro_batches > 1 || config_.skip_z > 0; }
  Outcome run_whole();
  Outcome run_parts(int64_t step, int64_t first_sample, const Accept& accept);
  // The batch's rows are the samples from `first_sample` on; dropout draws as for `random`.
  void fill(int64_t first_sample, float weight, int64_t random);
  void set_hyper(int64_t step);

  TrainConfig config_;
  State state_;
  Device& device_;
  const Samples& samples_;
  Batch batch_;
  std::vector<Piece> pieces_;
  Tensor hyper_;          // f32[4], see adamw()
  Tensor keep_, forget_;  // f32 scalars 1 and 0: what a lane's sum is multiplied by
  std::vector<Sum> lanes_;
  Jit<std::function<Whole(Tensors, Batch::Tensors, Tensor)>> whole_;
  Jit<std::function<Sum(Sum, Params, Params, Batch::Tensors, Tensor)>> accumulate_;
  Jit<std::function<Sum(Sum, Sum)>> merge_;
  Jit<std::function<Tensor(Params)>> norm_;
  Jit<std::function<Update(State, Params, Tensor)>> update_;
};

}  // namespace weft::train
