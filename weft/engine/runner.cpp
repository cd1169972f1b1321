#include "weft/engine/runner.h"

namespace weft::engine {
namespace {

void expect_size(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most)
    user_error("{} must be from {} to {}, got {}", name, least, most, value);
}

const models::Architecture& checked_architecture(const models::ModelConfig& config) {
  const models::Architecture& architecture = models::find_architecture(config.architecture);
  architecture.validate(config);
  return architecture;
}

RunnerOptions checked(RunnerOptions options, const models::ModelConfig& config) {
  if (options.context == 0) options.context = config.context;
  if (options.max_logits == 0) options.max_logits = options.slots;
  if (options.dtype != DType::bf16 && options.dtype != DType::f32)
    user_error("a model runs in bf16 or f32, not in {}", dtype_name(options.dtype));
  expect_size("the context of a sequence", options.context, 1, config.context);
  expect_size("the number of sequences at once", options.slots, 1, INT32_MAX / options.context);
  expect_size("the tokens of one run", options.max_tokens, options.slots, 1 << 24);
  expect_size("the logits of one run", options.max_logits, options.slots, options.max_tokens);
  return options;
}

}  // namespace

Runner::Runner(const models::ModelConfig& config, const Params& params,
               const RunnerOptions& options)
    : config_(config),
      architecture_(checked_architecture(config)),
      options_(checked(options, config)),
      device_(default_device()),
      forward_([this](Cache cache, const Inputs& in) { return forward(std::move(cache), in); },
               donate(0)) {
  models::check_params(config_, params);
  take_params(params);
  const Shape rows{options_.slots * options_.context, config_.key_heads(), config_.head_size()};
  for (int64_t i = 0; i < config_.layers; ++i)
    cache_.push_back({Array(device_, options_.dtype, rows), Array(device_, options_.dtype, rows)});
  for (Staged* staged : {&tokens_, &positions_, &cache_rows_})
    staged->device = Array(device_, DType::i32, {options_.max_tokens});
  segments_.device = Array(device_, DType::i32, {options_.slots, 4});
  rows_.device = Array(device_, DType::i32, {options_.max_logits});
}

// Matrices inside blocks, and the head's, are read by products alone and lie as these want them.
// The embedding stays as it is: its rows are taken, so a head that shares it is a second copy.
void Runner::take_params(const Params& params) {
  for (const auto& [path, value] : params) {
    Tensor own = cast(value, options_.dtype);
    eval({own});
    const bool of_product = path.starts_with("blocks.") && own.rank() == 2;
    params_[path] = of_product ? pack_matrix(own) : own;
  }
  head_ = pack_matrix(architecture_.head(config_, params_));
  if (!config_.tied) params_.erase("head.weight");
}

std::pair<Runner::Cache, Tensor> Runner::forward(Cache cache, const Inputs& in) const {
  models::ForwardInputs inputs;
  inputs.tokens = in.tokens;
  inputs.where = {in.positions, in.segments, in.cache_rows, options_.context};
  inputs.cache = &cache;
  const Tensor hidden = gather(architecture_.hidden(config_, params_, inputs), in.rows);
  return {std::move(cache), matmul(hidden, head_, "rd,vd->rv", DType::f32)};
}

void Runner::stage(const Chunk& chunk) {
  const int32_t n = int32_t(chunk.tokens.size()), end = chunk.begin + n;
  const int32_t context = int32_t(options_.context);
  WEFT_CHECK(chunk.slot >= 0 && chunk.slot < options_.slots, "slot {}", chunk.slot);
  WEFT_CHECK(n >= 1 && chunk.begin >= 0 && end <= context, "[{}, {}) of {}", chunk.begin, end,
             context);
  WEFT_CHECK(chunk.logits >= 0 && chunk.logits <= n, "{} of {}", chunk.logits, n);
  const int32_t first = int32_t(tokens_.host.size()), slot_row = chunk.slot * context;
  for (int32_t i = 0; i < n; ++i) {
    const int32_t token = chunk.tokens[size_t(i)];
    WEFT_CHECK(token >= 0 && token < config_.vocab, "token {} of {}", token, config_.vocab);
    tokens_.host.push_back(token);
    positions_.host.push_back(chunk.begin + i);
    cache_rows_.host.push_back(slot_row + chunk.begin + i);
    if (i >= n - chunk.logits) rows_.host.push_back(first + i);
  }
  for (const int32_t x : {first, n, slot_row, end}) segments_.host.push_back(x);
}

Runner::Inputs Runner::upload() {
  const auto put = [&](const Staged& from, const char* symbol) {
    const Shape& most = from.device.shape();
    const int64_t n = int64_t(from.host.size()) * most[0] / most.elements();
    WEFT_CHECK(n <= most[0], "{} {}, planned for {}", n, symbol, most[0]);
    device_.copy_from_host(from.device.data(), reinterpret_cast<const std::byte*>(from.host.data()),
                           from.host.size() * sizeof(int32_t));
    return symbolic(from.device.slice(0, 0, n), 0, Symbol(symbol, most[0]));
  };
  return {put(tokens_, "tokens"), put(positions_, "tokens"), put(cache_rows_, "tokens"),
          put(segments_, "segments"), put(rows_, "logits")};
}

std::span<const float> Runner::run(std::span<const Chunk> chunks) {
  WEFT_CHECK(&default_device() == &device_, "the device has been replaced");
  for (Staged* staged : {&tokens_, &positions_, &cache_rows_, &segments_, &rows_})
    staged->host.clear();
  for (const Chunk& chunk : chunks) stage(chunk);
  auto [cache, logits] = forward_(cache_, upload());
  cache_ = std::move(cache);
  logits_.resize(size_t(logits.value().elements()));
  device_.copy_to_host(reinterpret_cast<std::byte*>(logits_.data()), logits.value().data(),
                       logits_.size() * sizeof(float));
  return logits_;
}

}  // namespace weft::engine
