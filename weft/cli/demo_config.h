// The Llamas that weft demo trains, for the demo itself and for its benchmark.
#pragma once
#include "weft/train/config.h"

namespace weft::cli {

// 1.1M parameters, or 11M of the same kind: as much as two cores teach to add within three
// minutes, and within ten.
inline train::TrainConfig demo_config(bool large) {
  train::TrainConfig c;
  c.model = {.architecture = "llama", .vocab = 1024, .context = 256};
  c.batch = 8, c.min_lr = 2e-5, c.beta2 = 0.98, c.weight_decay = 0.01;
  if (large) {
    c.model.layers = 6, c.model.heads = 6, c.model.width = 384, c.model.qk_norm = true;
    c.optimizer = "muon", c.lr = 1.5e-3, c.warmup = 30, c.steps = 1200;
    c.eval_every = c.checkpoint_every = 100;
  } else {
    c.model.layers = 2, c.model.heads = 6, c.model.width = 192;
    c.lr = 1e-3, c.warmup = 60, c.steps = 4800;
    c.eval_every = c.checkpoint_every = 400;
  }
  return c;
}

}  // namespace weft::cli
