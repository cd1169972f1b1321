// Everything that decides what a run computes. One list of keys serves config.json, TOML files and
// command line flags (a flag has dashes where a key has underscores).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "weft/base/json_fwd.h"
#include "weft/models/model.h"
#include "weft/train/schedule.h"

namespace weft::train {

struct TrainConfig {
  models::ModelConfig model = {.context = 64, .layers = 4, .heads = 4, .width = 128};
  std::string dtype = "bf16";  // of the weights and activations that compute; the masters are f32
  int64_t batch = 12;          // sequences of one step
  int64_t micro_batches = 1;   // a step's sequences are computed in this many parts
  int64_t lanes = 1;          // gradients are summed in order within a lane, lanes in a binary tree
  std::string rows = "auto";  // what a sequence is made of (train/samples.h)
  bool recompute = false;     // keep each block's input only, and compute the rest again
  int64_t steps = 2000;
  std::string optimizer = "adamw";  // muon: of the matrices inside blocks (train/muon.h)
  double lr = 1e-3, min_lr = 1e-4;
  int64_t warmup = 100;
  std::string schedule = "cosine";
  double decay_fraction = 0.2;  // of the steps; wsd only
  double beta1 = 0.9, beta2 = 0.99, epsilon = 1e-8;
  double weight_decay = 0.1;  // of tensors with two or more dimensions
  double muon_momentum = 0.95;
  double grad_clip = 1;  // most global norm of the gradient; 0: no limit
  double skip_z = 0;     // a step so many deviations above the last ones is skipped; 0: none
  int64_t seed = 1;
  int64_t eval_every = 250, checkpoint_every = 250;  // steps; 0: only at the end
  int64_t keep = 2;                                  // checkpoints, besides the best weights

  Schedule learning_rates() const { return {schedule, lr, min_lr, warmup, steps, decay_fraction}; }
  int64_t tokens_per_step() const { return batch * model.context; }
};

// Calls f for each key:
//   f(name, int64_t& or double&, lowest, highest, help)
//   f(name, bool&, help)
//   f(name, std::string&, std::vector<std::string> choices, help)
template <class Config, class F>
void for_each_model_key(Config& c, F&& f) {
  f("model", c.model.architecture, models::architecture_names(), "architecture");
  f("layers", c.model.layers, int64_t(1), int64_t(1024), "blocks");
  f("heads", c.model.heads, int64_t(1), int64_t(1024), "attention heads of a block");
  f("dim", c.model.width, int64_t(1), int64_t(1) << 17, "width of the residual stream");
  f("hidden", c.model.hidden, int64_t(0), int64_t(1) << 20,
    "width of the feed-forward layer; 0: gpt2 4 dim, llama 8/3 dim");
  f("tied", c.model.tied, "one matrix embeds tokens and gives their logits");
  f("norm_epsilon", c.model.norm_epsilon, 1e-12, 0.1, "added to the variance by a norm");
  f("kv_heads", c.model.kv_heads, int64_t(0), int64_t(1024),
    "llama: heads of keys and values; 0: as many as heads");
  f("head_dim", c.model.head_dim, int64_t(0), int64_t(256),
    "llama: size of a head; 0: dim / heads");
  f("qkv_bias", c.model.qkv_bias, "llama: biases of queries, keys and values, as Qwen2");
  f("out_bias", c.model.out_bias, "llama: a bias after attention");
  f("mlp_bias", c.model.mlp_bias, "llama: biases of the feed-forward layer");
  f("qk_norm", c.model.qk_norm, "llama: norms of queries and keys, as Qwen3");
  f("window", c.model.window, int64_t(0), int64_t(1) << 20, "llama: keys a query sees; 0: all");
  f("window_from", c.model.window_from, int64_t(0), int64_t(1024),
    "llama: first layer that has the window");
  f("rope_theta", c.model.rope_theta, 1e-3, 1e12, "llama: base of the rotary frequencies");
  f("rope_factor", c.model.rope_scaling.factor, 1.0, 1e6,
    "llama: what Llama 3's scaling divides low frequencies by; 1: none");
  f("rope_low", c.model.rope_scaling.low, 1e-6, 1e6, "llama: turns below which all is divided");
  f("rope_high", c.model.rope_scaling.high, 1e-6, 1e6, "llama: turns above which nothing is");
  f("rope_context", c.model.rope_scaling.original_context, int64_t(1), int64_t(1) << 24,
    "llama: the context that turns are counted in");
}
template <class Config, class F>
void for_each_key(Config& c, F&& f) {
  constexpr int64_t many = int64_t(1) << 40;
  const std::vector<std::string> dtypes = {"bf16", "f32"},
                                 schedules = {"cosine", "wsd", "constant"},
                                 optimizers = {"adamw", "muon"},
                                 rows = {"auto", "crops", "documents"};
  for_each_model_key(c, f);
  f("context", c.model.context, int64_t(1), int64_t(1) << 20, "tokens of a sequence");
  f("dropout", c.model.dropout, 0.0, 0.999, "share of activations dropped");
  f("dtype", c.dtype, dtypes, "number type that computes; the master weights are f32");
  f("batch", c.batch, int64_t(1), int64_t(1) << 24, "sequences of a step");
  f("rows", c.rows, rows,
    "crops: from anywhere in the text; documents: packed, none sees another; auto: crops of a "
    "single text");
  f("micro_batches", c.micro_batches, int64_t(1), int64_t(1) << 20,
    "parts that a step is computed in");
  f("lanes", c.lanes, int64_t(1), int64_t(1) << 20,
    "sums of gradients kept apart, then added in a tree");
  f("recompute", c.recompute,
    "keep only the input of each block for the backward pass and compute the rest again: the same "
    "weights with less memory");
  f("steps", c.steps, int64_t(1), many, "steps of the whole run");
  f("optimizer", c.optimizer, optimizers, "muon: of the matrices inside blocks, AdamW of all else");
  f("lr", c.lr, 0.0, 1e9, "highest learning rate");
  f("min_lr", c.min_lr, 0.0, 1e9, "learning rate at the end");
  f("warmup", c.warmup, int64_t(0), many, "steps of linear warm-up");
  f("schedule", c.schedule, schedules, "course of the learning rate");
  f("decay_fraction", c.decay_fraction, 0.0, 1.0, "share of the steps in which wsd decays");
  f("beta1", c.beta1, 0.0, 0.999999, "AdamW's average of the gradient");
  f("beta2", c.beta2, 0.0, 0.999999, "AdamW's average of its square");
  f("epsilon", c.epsilon, 1e-30, 1.0, "AdamW's guard against division by zero");
  f("weight_decay", c.weight_decay, 0.0, 1e3,
    "decoupled decay, of tensors with two or more dimensions");
  f("muon_momentum", c.muon_momentum, 0.0, 0.999999, "Muon's average of the gradient");
  f("grad_clip", c.grad_clip, 0.0, 1e9, "most global norm of the gradient; 0: no limit");
  f("skip_z", c.skip_z, 0.0, 1e6,
    "skip a step whose loss or gradient norm lies so many deviations above those of the last 128; "
    "0: never");
  f("seed", c.seed, int64_t(0), INT64_MAX, "of weights, data order and dropout");
  f("eval_every", c.eval_every, int64_t(0), many, "steps between evaluations; 0: at the end");
  f("checkpoint_every", c.checkpoint_every, int64_t(0), many,
    "steps between checkpoints; 0: at the end");
  f("keep", c.keep, int64_t(1), int64_t(1) << 20, "checkpoints kept, besides the best weights");
}

// Throws Error(user): a sentence that names the key, what it must be and what it is. model.vocab
// must be set.
void validate(const TrainConfig& config);

// An object with every key; model.vocab is not one of them.
Json to_json(const TrainConfig& config);
// Every key must be there and no other. Error(data) naming `what`.
TrainConfig config_from_json(const Json& json, const std::string& what);

}  // namespace weft::train
