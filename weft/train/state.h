// What training keeps from step to step.
#pragma once
#include <cstdint>
#include <string>

#include "weft/device/device.h"
#include "weft/graph/tree.h"
#include "weft/models/model.h"

namespace weft::train {

// The master weights and the optimizer's averages of their gradients and of the squares; all f32,
// by path. Beside them, where another type computes: the masters rounded to it, which AdamW writes
// in the same pass and no checkpoint holds.
struct State {
  Params params, m, v;  // no v of what Muon updates
  Params compute = {};
  template <class F>
  void each(F&& f) {
    f(params), f(m), f(v), f(compute);
  }
};

// The architecture's initial weights, each a function of (seed, path), and zeros. Every tensor owns
// its buffer alone, so that a step can work in place.
State initial_state(const models::ModelConfig& model, uint64_t seed, Device& device);

// Weights to go on from, of any float type, as masters; a table of positions is cut to the model's
// context. Error(data) where they do not fit the model.
State state_from(const Params& params, const models::ModelConfig& model, Device& device);

// Zeros of the same shapes.
Params zeros_like(const Params& params, Device& device);

int64_t bytes_of(const Params& params);

// SHA-256, in hexadecimal, over the tensors in the order of their paths: the path and a zero byte,
// the rank and the dimensions as 64-bit little-endian integers, the f32 values.
std::string weights_sha256(const Params& params);

}  // namespace weft::train
