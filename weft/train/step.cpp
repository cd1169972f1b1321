#include "weft/train/step.h"

#include <limits>

#include "weft/graph/flops.h"
#include "weft/graph/passes.h"
#include "weft/kernels/adamw.h"
#include "weft/train/muon.h"

namespace weft::train {
namespace {

template <class T>
Tensor scalar(Device& device, T value) {
  return Array::from<T>(device, {}, std::vector<T>{value});
}

// The weights that compute, as functions of the masters: their copies where there are any.
Params weights_of(const Params& params, const Params& compute) {
  if (compute.empty()) return params;
  Params weights;
  for (const auto& [path, master] : params) weights[path] = precast(master, compute.at(path));
  return weights;
}

int64_t own_bytes(const Executable* executable) {
  return executable ? executable->memory().output_bytes + executable->memory().arena_bytes : 0;
}

Clip clip_of(const Params& grads, double most) {
  Tensors squares;
  for (const auto& [path, grad] : grads) squares.push_back(norm_square(grad));
  return clip_by_global_norm(squares, most);
}

// Queries, keys and values of one projection are three matrices.
int64_t stacked_matrices(const std::string& path) {
  return path.ends_with(".qkv.weight") ? 3 : 1;
}

// What a step keeps: no averages of squares where Muon needs none, and the copies that compute.
State working_state(const TrainConfig& config, State state) {
  std::erase_if(state.v, [&](const auto& item) {
    return is_for_muon(config, item.first, item.second.dims());
  });
  const DType dtype = parse_dtype(config.dtype);
  if (dtype == DType::f32) return state;
  state.compute = models::cast_params(state.params, dtype);
  eval(tensors_of(state.compute));
  return state;
}

// The same paths without tensors.
State emptied(State state) {
  take_tensors(state);
  return state;
}

}  // namespace

Tensor batch_loss(const TrainConfig& config, const Params& weights, const Batch::Tensors& batch) {
  const models::Architecture& architecture = models::find_architecture(config.model.architecture);
  models::ForwardInputs in;
  in.tokens = batch.tokens;
  in.where = {batch.positions, batch.segments, {}, config.model.context};
  in.dropout = {config.model.dropout, batch.random};
  in.recompute = config.recompute;
  const Tensor hidden = architecture.hidden(config.model, weights, in);
  return linear_cross_entropy(hidden, architecture.head(config.model, weights), batch.targets,
                              batch.weights)
      .loss;
}

Update update(const TrainConfig& config, const State& state, const Params& grads,
              const Tensor& hyper) {
  const double most =
      config.grad_clip > 0 ? config.grad_clip : std::numeric_limits<double>::infinity();
  const Clip clip = clip_of(grads, most);
  Update out;
  out.norm = clip.norm;
  for (const auto& [path, grad] : grads) {
    const double decay = grad.rank() >= 2 ? config.weight_decay : 0;
    if (is_for_muon(config, path, grad.dims())) {
      const MuonOptions options{config.muon_momentum, decay, parse_dtype(config.dtype),
                                stacked_matrices(path)};
      const MuonState next =
          muon({state.params.at(path), state.m.at(path)}, grad, hyper, clip.scale, options);
      out.state.params[path] = next.param, out.state.m[path] = next.m;
      if (!state.compute.empty()) out.state.compute[path] = next.copy;
      continue;
    }
    const AdamWState next =
        adamw({state.params.at(path), state.m.at(path), state.v.at(path)}, grad, hyper, clip.scale,
              {config.beta1, config.beta2, config.epsilon, decay});
    out.state.params[path] = next.param, out.state.m[path] = next.m, out.state.v[path] = next.v;
    if (!state.compute.empty()) out.state.compute[path] = next.copy;
  }
  return out;
}

Stepper::Stepper(const TrainConfig& config, State state, Device& device, const Samples& samples)
    : config_(config),
      state_(working_state(config, std::move(state))),
      device_(device),
      samples_(samples),
      batch_(device, config.batch / config.micro_batches, config.model.context,
             samples.max_pieces()),
      hyper_(Array::from<float>(device, {4}, std::vector<float>(4))),
      keep_(scalar(device, 1.0f)),
      forget_(scalar(device, 0.0f)),
      whole_(
          [config, empty = emptied(state_)](Tensors tensors, Batch::Tensors batch, Tensor hyper) {
            const State s = with_tensors(empty, tensors);
            const auto loss = [&](const Params& params) {
              return batch_loss(config, weights_of(params, s.compute), batch);
            };
            const auto [value, grads] = value_and_grad(loss)(s.params);
            const Update next = update(config, s, grads, hyper);
            return Whole{tensors_of(next.state), next.norm, value};
          },
          donate(0)),
      accumulate_(
          [config](Sum sum, Params params, Params compute, Batch::Tensors batch, Tensor keep) {
            const auto loss = [&](const Params& p) {
              return batch_loss(config, weights_of(p, compute), batch);
            };
            const auto [value, grads] = value_and_grad(loss)(params);
            for (auto& [path, total] : sum.grads)
              total = total * broadcast_to(keep, total.dims()) + grads.at(path);
            sum.loss = sum.loss * keep + value;
            return sum;
          },
          donate(0)),
      merge_(
          [](Sum a, Sum b) {
            for (auto& [path, total] : a.grads) total = total + b.grads.at(path);
            a.loss = a.loss + b.loss;
            return a;
          },
          donate(0)),
      norm_([](Params grads) { return clip_of(grads, 1).norm; }, {}),
      update_(
          [config](State s, Params grads, Tensor hyper) { return update(config, s, grads, hyper); },
          donate(0)) {
  if (!in_parts()) return;
  for (int64_t l = 0; l < config.lanes; ++l)
    lanes_.push_back({zeros_like(state_.params, device), scalar(device, 0.0f)});
}

void Stepper::set_hyper(int64_t step) {
  const double lr = learning_rate(config_.learning_rates(), step);
  const kernels::AdamWHyper hyper =
      kernels::adamw_hyper(lr, config_.beta1, config_.beta2, step + 1);
  device_.copy_from_host(hyper_.value().data(), reinterpret_cast<const std::byte*>(&hyper),
                         sizeof hyper);
}

void Stepper::fill(int64_t first_sample, float weight, int64_t random) {
  batch_.clear();
  for (int64_t row = 0; row < batch_.rows(); ++row) {
    samples_.get(first_sample + row, pieces_);
    for (const Piece& piece : pieces_)
      batch_.add(row, samples_.tokens(piece), piece.begin, piece.length);
  }
  batch_.upload(weight);
  batch_.set_random(uint64_t(config_.seed), random);
}

Stepper::Outcome Stepper::run(int64_t step, int64_t first_sample, const Accept& accept) {
  set_hyper(step);
  if (in_parts()) return run_parts(step, first_sample, accept);
  fill(first_sample, float(1.0 / double(samples_.targets(first_sample, config_.batch))), step);
  return run_whole();
}

Stepper::Outcome Stepper::run_whole() {
  auto [next, norm, loss] = whole_(take_tensors(state_), batch_.tensors(), hyper_);
  put_tensors(state_, std::move(next));
  return {loss.item(), norm.item()};
}

Stepper::Outcome Stepper::run_parts(int64_t step, int64_t first_sample, const Accept& accept) {
  const int64_t parts = config_.micro_batches, per_lane = parts / config_.lanes;
  const float weight = float(1.0 / double(samples_.targets(first_sample, config_.batch)));
  for (int64_t i = 0; i < parts; ++i) {
    fill(first_sample + i * batch_.rows(), weight, step * parts + i);
    Sum& lane = lanes_[size_t(i / per_lane)];
    lane = accumulate_(std::move(lane), state_.params, state_.compute, batch_.tensors(),
                       i % per_lane == 0 ? forget_ : keep_);
  }
  for (size_t apart = 1; apart < lanes_.size(); apart *= 2)
    for (size_t l = 0; l < lanes_.size(); l += 2 * apart)
      lanes_[l] = merge_(std::move(lanes_[l]), lanes_[l + apart]);
  const double loss = lanes_[0].loss.item();
  if (config_.skip_z > 0 && accept) {
    const double norm = norm_(lanes_[0].grads).item();
    if (!accept(loss, norm)) return {loss, norm, true};
  }
  auto next = update_(std::move(state_), lanes_[0].grads, hyper_);
  state_ = std::move(next.state);
  return {loss, next.norm.item()};
}

double Stepper::model_flops() const {
  TrainConfig once = config_;
  once.recompute = false;
  Params weights;
  for (const auto& [path, master] : state_.params)
    weights[path] = placeholder({parse_dtype(config_.dtype), master.dims()});
  Tensors leaves;
  Graph forward = build_graph({batch_loss(once, weights, batch_.tensors())}, {}, leaves);
  remove_dead(forward);
  return 3 * count_flops(forward) * double(config_.micro_batches);
}

double Stepper::hardware_flops() const {
  return executable() ? count_flops(executable()->graph()) : 0;
}

int64_t Stepper::planned_bytes() const {
  const int64_t params = bytes_of(state_.params);
  return params * (1 + int64_t(lanes_.size())) + bytes_of(state_.m) + bytes_of(state_.v) +
         bytes_of(state_.compute) + batch_.bytes() + own_bytes(whole_.executable()) +
         own_bytes(accumulate_.executable()) + own_bytes(merge_.executable()) +
         own_bytes(norm_.executable()) + own_bytes(update_.executable());
}

}  // namespace weft::train
