#include "weft/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "weft/base/error.h"
#include "weft/train/folders.h"
#include "weft/train/loaded_model.h"

namespace weft::train {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string number_or_null(double x) {
  return std::isfinite(x) ? format("{}", x) : "null";
}

// Since 1970.
double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

bool is_multiple(int64_t step, int64_t every) {
  return every > 0 && step % every == 0;
}

// A path that still leads there when the run is resumed from another directory.
std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

// Broken, or best weights of steps that will be done again.
void remove_later_checkpoints(const std::string& root, int64_t step, FileSystem& fs) {
  for (const DirectoryEntry& entry : list_directory(root))
    for (const char* kind : {"step-", "best-"})
      if (step_in_name(entry.name, kind).value_or(0) > step)
        remove_tree(root + "/" + entry.name, fs);
}

std::optional<Checkpoint> newest_checkpoint(const std::string& run, FileSystem& fs) {
  const std::string root = checkpoints_of(run);
  clean_stale(run, fs);
  if (!is_directory(root)) return std::nullopt;
  clean_stale(root, fs);
  std::vector<std::string> skipped;
  std::optional<Checkpoint> found = latest_whole(root, "step", &skipped);
  if (!found && !skipped.empty())
    data_error("no checkpoint in {} is whole ({}); start a new run, or copy back a good one", root,
               skipped[0]);
  remove_later_checkpoints(root, found ? found->manifest.step : 0, fs);
  return found;
}

// One file for each time that a run goes on, in the order of their names; those of steps that will
// be done again go away.
std::string new_events_path(const std::string& run, int64_t step, FileSystem& fs) {
  const std::string kind = "events.out.tfevents.";
  for (const DirectoryEntry& entry : list_directory(run))
    if (step_in_name(entry.name, kind).value_or(0) > step) remove_tree(run + "/" + entry.name, fs);
  return format("{}/{}{:010}", run, kind, step);
}

// The data have moved; their weights are the run's.
void take_paths(std::vector<MixturePart>& parts, const std::vector<MixturePart>& now) {
  if (now.size() != parts.size())
    user_error("the run was started with {} data directories, so --data must name as many, got {}",
               parts.size(), now.size());
  for (size_t i = 0; i < parts.size(); ++i) parts[i].path = now[i].path;
}

// Of a run that has no checkpoint yet.
State first_state(const RunConfig& config) {
  const models::ModelConfig& model = config.train.model;
  if (config.init.empty())
    return initial_state(model, uint64_t(config.train.seed), default_device());
  State state = state_from(load_model(config.init).params, model, default_device());
  if (weights_sha256(state.params) != config.init_sha256)
    data_error("{} has other weights than the run was started from; start a new run", config.init);
  return state;
}

}  // namespace

Trainer::Trainer(FileLock lock, RunConfig config, Mixture data, Samples samples, std::string run,
                 State state, const Position& position, FileSystem& fs)
    : lock_(std::move(lock)),
      config_(std::move(config)),
      data_(std::move(data)),
      samples_(std::move(samples)),
      run_(std::move(run)),
      device_(default_device()),
      position_(position),
      stepper_(config_.train, std::move(state), device_, samples_),
      evaluator_(config_.train.model, parse_dtype(config_.train.dtype), device_),
      metrics_(run_, position.step, fs),
      events_(new_events_path(run_, position.step, fs), position.step + 1, wall_seconds()),
      saver_(run_, stepper_.state(), metrics_, fs),
      last_save_(position.step > 0 ? position.step : -1) {}

std::unique_ptr<Trainer> Trainer::create(TrainConfig config, const std::string& data_words,
                                         const std::string& run, FileSystem& fs,
                                         const std::string& init) {
  Mixture data(parse_mixture(data_words));
  std::optional<LoadedModel> start;
  if (!init.empty()) {
    start = load_model(init);
    check_same_tokenizer(*start->tokenizer, init, data.tokenizer(), data_words);
    config.model = config_from(*start, config.model);
  } else {
    config.model.vocab = data.info().vocab;
  }
  validate(config);
  Samples samples(config, data.train());
  make_directories(run, fs);
  FileLock lock(run + "/lock");
  if (is_run(run))
    user_error("{} holds a run already; resume it with --resume {}, or choose another --out", run,
               run);
  save_tokenizer(data.tokenizer(), run + "/tokenizer.json", fs);
  RunConfig run_config{config, data.parts()};
  State state = start ? state_from(start->params, config.model, default_device())
                      : initial_state(config.model, uint64_t(config.seed), default_device());
  if (start)
    run_config.init = absolute(init), run_config.init_sha256 = weights_sha256(state.params);
  write_run_config(run_config, run, fs);
  return std::unique_ptr<Trainer>(new Trainer(std::move(lock), run_config, std::move(data),
                                              std::move(samples), run, std::move(state), {}, fs));
}

std::unique_ptr<Trainer> Trainer::resume(const std::string& run, const ResumeOptions& options,
                                         FileSystem& fs) {
  RunConfig config = read_run_config(run);
  FileLock lock(run + "/lock");
  if (options.data) take_paths(config.data, parse_mixture(*options.data));
  Mixture data(config.data);
  Samples samples(config.train, data.train());
  const std::optional<Checkpoint> checkpoint = newest_checkpoint(run, fs);
  Position position;
  if (checkpoint) position = read_position(*checkpoint);
  config.data = data.parts();
  config.train.steps = options.steps.value_or(config.train.steps);
  validate(config.train);
  if (config.train.steps < position.step)
    user_error("{} has done {} steps already, so steps must be at least that, got {}", run,
               position.step, config.train.steps);
  if (options.steps || options.data) write_run_config(config, run, fs);
  State state =
      checkpoint ? read_state(*checkpoint, config.train, default_device()) : first_state(config);
  return std::unique_ptr<Trainer>(new Trainer(std::move(lock), std::move(config), std::move(data),
                                              std::move(samples), run, std::move(state), position,
                                              fs));
}

TrainResult Trainer::run(const RunOptions& options) {
  const TrainConfig& c = config_.train;
  const int64_t last = options.stop_after > 0 ? std::min(options.stop_after, c.steps) : c.steps;
  const auto interrupted = [&] { return options.interrupt && options.interrupt->load(); };
  clock_ = now();
  while (true) {
    if (evaluation_due()) evaluate_and_note(options);
    save_if_due();
    if (position_.step >= last || interrupted()) break;
    one_step(options);
  }
  return finish(interrupted());
}

double Trainer::lap() {
  const double before = clock_;
  clock_ = now();
  return clock_ - before;
}

// Skipped steps count among the last ones too: what is usual may change.
Stepper::Outcome Trainer::step_unless_outlier() {
  const TrainConfig& c = config_.train;
  const auto accept = [&](double loss, double norm) {
    return position_.losses.deviations(loss) <= c.skip_z &&
           position_.norms.deviations(norm) <= c.skip_z;
  };
  const Stepper::Outcome outcome = stepper_.run(position_.step, position_.samples, accept);
  ++position_.step;
  position_.samples += c.batch;
  const bool finite = std::isfinite(outcome.loss) && std::isfinite(outcome.grad_norm);
  not_finite_ = finite ? 0 : not_finite_ + 1;
  constexpr int64_t most_in_a_row = 10;
  if (!finite && (!outcome.skipped || not_finite_ > most_in_a_row))
    data_error(
        "the loss of step {} is {} and the norm of its gradient {}, so training stopped; what was "
        "saved before is untouched: try a lower lr, a longer warmup or dtype f32",
        position_.step, outcome.loss, outcome.grad_norm);
  if (finite && c.skip_z > 0)
    position_.losses.add(outcome.loss), position_.norms.add(outcome.grad_norm);
  return outcome;
}

void Trainer::note_step(const Stepper::Outcome& outcome, double lr, double rate) {
  metrics_.line(position_.step,
                format("\"loss\":{},\"lr\":{},\"grad_norm\":{},\"tokens_per_second\":{:.0f}{}",
                       number_or_null(outcome.loss), lr, number_or_null(outcome.grad_norm), rate,
                       outcome.skipped ? ",\"skipped\":true" : ""));
  events_.add(position_.step, wall_seconds(),
              {{"train/loss", float(outcome.loss)},
               {"train/lr", float(lr)},
               {"train/grad_norm", float(outcome.grad_norm)},
               {"train/tokens_per_second", float(rate)}});
}

void Trainer::one_step(const RunOptions& options) {
  const TrainConfig& c = config_.train;
  const double lr = learning_rate(c.learning_rates(), position_.step);
  const Stepper::Outcome outcome = step_unless_outlier();
  val_loss_.reset(), best_now_ = false;
  const double seconds = lap();
  position_.train_seconds += seconds;
  // A moving average, that the first steps of a process do not enter: they compile.
  step_seconds_ = ++steps_here_ <= 3 ? seconds : step_seconds_ + 0.1 * (seconds - step_seconds_);
  const double rate = double(c.tokens_per_step()) / step_seconds_;
  note_step(outcome, lr, rate);
  if (options.on_step)
    options.on_step({position_.step, c.steps, outcome.loss, lr, outcome.grad_norm, rate,
                     double(c.steps - position_.step) * step_seconds_,
                     device_.memory().live_bytes});
}

bool Trainer::evaluation_due() const {
  const bool now_or_never = position_.step == config_.train.steps;
  return position_.step > position_.evaluated_step &&
         (now_or_never || is_multiple(position_.step, config_.train.eval_every));
}

void Trainer::evaluate_and_note(const RunOptions& options) {
  position_.train_seconds += lap();
  const std::optional<Evaluation> found = evaluator_.run(
      params(), data_.val(),
      {.interrupted = [&] { return options.interrupt && options.interrupt->load(); }});
  position_.eval_seconds += lap();
  if (!found) return;  // still due when the run is resumed
  val_loss_ = found->loss;
  position_.evaluated_step = position_.step;
  best_now_ =
      std::isfinite(found->loss) && (!position_.best_loss || found->loss < *position_.best_loss);
  if (best_now_) position_.best_loss = found->loss, position_.best_step = position_.step;
  metrics_.line(position_.step, format("\"val_loss\":{}", number_or_null(found->loss)));
  events_.add(position_.step, wall_seconds(), {{"val/loss", float(found->loss)}});
  if (options.on_evaluation) options.on_evaluation(position_.step, *found, best_now_);
}

// A checkpoint that falls due while the last one is still being written waits for a later step, not
// training for it. The best weights have no later step: for them training waits.
void Trainer::save_if_due() {
  const TrainConfig& c = config_.train;
  const bool new_step = position_.step > 0 && position_.step != last_save_;
  if (new_step && (is_multiple(position_.step, c.checkpoint_every) || position_.step == c.steps))
    save_due_ = true;
  const bool busy = saver_.busy();
  if (best_now_ || (save_due_ && !busy)) save(save_due_);
}

void Trainer::save(bool resumable) {
  saver_.start(stepper_.state(), {resumable, best_now_, position_, config_.train});
  best_now_ = false;
  if (!resumable) return;
  last_save_ = position_.step;
  save_due_ = false;
}

TrainResult Trainer::finish(bool interrupted) {
  if (position_.step > 0 && position_.step != last_save_) save(true);
  saver_.finish();
  position_.train_seconds += lap();
  if (!val_loss_ && !interrupted) {
    val_loss_ = evaluator_.run(params(), data_.val())->loss;
    position_.eval_seconds += lap();
  }
  TrainResult r;
  r.step = position_.step;
  r.finished = position_.step >= config_.train.steps;
  r.val_loss = val_loss_;
  r.best_loss = position_.best_loss, r.best_step = position_.best_step;
  r.train_seconds = position_.train_seconds, r.eval_seconds = position_.eval_seconds;
  const double tokens = double(position_.step) * double(config_.train.tokens_per_step());
  r.tokens_per_second = r.train_seconds > 0 ? tokens / r.train_seconds : 0;
  r.peak_memory_bytes = device_.memory().peak_bytes;
  r.planned_peak_bytes =
      stepper_.planned_bytes() + evaluator_.planned_bytes() + saver_.planned_bytes();
  if (const Executable* step = stepper_.executable()) {
    r.arena_bytes = step->memory().arena_bytes;
    r.arena_lower_bound = step->memory().lower_bound;
  }
  r.weights_sha256 = weights_sha256(params());
  return r;
}

}  // namespace weft::train
