#include "weft/cli/train_session.h"

#include <atomic>
#include <csignal>
#include <cstdio>

#include "weft/base/json.h"
#include "weft/base/log.h"
#include "weft/base/terminal.h"
#include "weft/cli/command.h"
#include "weft/cli/measure.h"

namespace weft::cli {
namespace {

std::atomic<bool> interrupted{false};
void on_signal(int) {
  interrupted = true;
}

Json optional_number(const std::optional<double>& x) {
  return x ? Json(*x) : Json(nullptr);
}

}  // namespace

TrainSession::TrainSession(train::Trainer& trainer, bool json, double floor)
    : trainer_(trainer),
      json_(json),
      floor_(floor),
      matmul_rate_(measured_matmul_rate(parse_dtype(trainer.config().dtype))) {
  default_device().reset_peak();  // of the run, not of the measurement
  interrupted = false;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

TrainSession::~TrainSession() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

double TrainSession::utilisation(double flops_per_step, double tokens_per_second) const {
  return flops_per_step * tokens_per_second / double(trainer_.config().tokens_per_step()) /
         matmul_rate_;
}

train::TrainResult TrainSession::run(int64_t stop_after) {
  const train::TrainConfig& config = trainer_.config();
  if (!json_)
    log_info(format("{}: {} parameters, {} on {}", config.model.architecture,
                    format_count(double(models::parameter_count(trainer_.params()))), config.dtype,
                    default_device().description()));
  const double model_flops = trainer_.stepper().model_flops();
  if (!json_)
    log_info(
        format("MFU = {:.3g} operations a step x steps/s / {:.3g} operations/s of a 1024^3 product",
               model_flops, matmul_rate_));
  Progress bar("train", config.steps);
  train::RunOptions options;
  options.stop_after = stop_after;
  options.interrupt = &interrupted;
  const std::string of_floor = floor_ > 0 ? format(" of at least {:.3f}", floor_) : "";
  options.on_step = [&](const train::StepReport& r) {
    bar.update(r.step,
               {{"loss", format("{:.3f}{}", r.loss, of_floor)},
                {"", format_count(r.tokens_per_second) + " tok/s"},
                {"MFU", format("{:.0f}%", 100 * utilisation(model_flops, r.tokens_per_second))},
                {"", format_duration(r.seconds_left) + " left"},
                {"", format_bytes(double(r.memory_bytes))}});
  };
  options.on_evaluation = [&](int64_t step, const train::Evaluation& e, bool best) {
    if (json_)
      print_json({{"event", "evaluation"}, {"step", step}, {"val_loss", e.loss}, {"best", best}});
    else
      bar.note(format("step {:6}  validation loss {:.4f}{}{}", step, e.loss, of_floor,
                      best ? "  best" : ""));
  };
  train::TrainResult result = trainer_.run(options);
  bar.finish();
  return result;
}

void TrainSession::report(const train::TrainResult& r, const std::string& run) const {
  if (json_) {
    print_json({{"event", "result"},
                {"run", run},
                {"step", r.step},
                {"finished", r.finished},
                {"val_loss", optional_number(r.val_loss)},
                {"best_val_loss", optional_number(r.best_loss)},
                {"best_step", r.best_step},
                {"tokens_per_second", r.tokens_per_second},
                {"train_seconds", r.train_seconds},
                {"eval_seconds", r.eval_seconds},
                {"peak_memory_bytes", r.peak_memory_bytes},
                {"planned_peak_bytes", r.planned_peak_bytes},
                {"arena_bytes", r.arena_bytes},
                {"arena_lower_bound_bytes", r.arena_lower_bound},
                {"mfu", utilisation(trainer_.stepper().model_flops(), r.tokens_per_second)},
                {"hfu", utilisation(trainer_.stepper().hardware_flops(), r.tokens_per_second)},
                {"matmul_flops_per_second", matmul_rate_},
                {"weights_sha256", r.weights_sha256}});
    return;
  }
  const auto percent = [&](double flops) { return 100 * utilisation(flops, r.tokens_per_second); };
  std::printf("step %lld of %lld, %s tokens/s (MFU %.0f%%, HFU %.0f%%)\n",
              static_cast<long long>(r.step), static_cast<long long>(trainer_.config().steps),
              format_count(r.tokens_per_second).c_str(), percent(trainer_.stepper().model_flops()),
              percent(trainer_.stepper().hardware_flops()));
  std::printf("memory: peak %s, planned %s; temporaries of a step %s, at the least %s\n",
              format_bytes(double(r.peak_memory_bytes)).c_str(),
              format_bytes(double(r.planned_peak_bytes)).c_str(),
              format_bytes(double(r.arena_bytes)).c_str(),
              format_bytes(double(r.arena_lower_bound)).c_str());
  if (r.val_loss)
    std::printf("validation loss %.4f, best %.4f at step %lld\n", *r.val_loss,
                r.best_loss.value_or(*r.val_loss), static_cast<long long>(r.best_step));
  if (r.finished)
    std::printf("try: weft generate %s --prompt \"...\"\n", run.c_str());
  else
    std::printf("stopped; go on with: weft train --resume %s\n", run.c_str());
}

}  // namespace weft::cli
