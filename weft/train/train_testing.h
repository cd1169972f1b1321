// Small runs for the tests of this folder.
#pragma once
#include <string>

#include "tests/temp_directory.h"
#include "weft/graph/tensor.h"
#include "weft/text/story_grammar.h"
#include "weft/train/trainer.h"

namespace weft::train::testing {

// A device that eval and jit use for as long as this object lives.
struct UseDevice {
  CpuDevice device;
  Device& before = default_device();
  explicit UseDevice(int threads, Isa isa = selected_isa()) : device(threads, isa) {
    set_default_device(device);
  }
  ~UseDevice() { set_default_device(before); }
};

// Data and a place for runs; all of it goes away with this object. One thread, so that busy
// machines do not matter.
struct Workshop {
  UseDevice one_thread{1};
  weft::testing::TempDirectory directory;
  std::string data = directory / "data";

  explicit Workshop(size_t bytes = 6000, std::string_view tokenizer = "char") {
    const Grammar& grammar = story_grammar();
    write_dataset(make_corpus(grammar, 1, bytes),
                  make_corpus(grammar, 1, bytes / 6, CorpusSplit::validation), tokenizer, data);
  }
};

// Two blocks of two heads, width 32.
inline TrainConfig tiny_config() {
  TrainConfig c;
  c.model.layers = 2, c.model.heads = 2, c.model.width = 32, c.model.context = 16;
  c.batch = 4, c.steps = 12, c.warmup = 2, c.lr = 3e-3, c.min_lr = 3e-4;
  c.eval_every = 5, c.checkpoint_every = 4;
  return c;
}

// With keys and values shared by two heads, norms of queries and keys, and a head that is not tied.
inline TrainConfig tiny_llama() {
  TrainConfig c = tiny_config();
  c.model.architecture = "llama", c.model.kv_heads = 1, c.model.tied = false;
  c.model.qk_norm = true;
  return c;
}

inline TrainResult train(const TrainConfig& config, const Workshop& shop, const std::string& run,
                         const RunOptions& options = {}) {
  return Trainer::create(config, shop.data, shop.directory / run)->run(options);
}

}  // namespace weft::train::testing
