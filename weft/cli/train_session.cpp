#include "weft/cli/train_session.h"

#include <atomic>
#include <csignal>
#include <cstdio>

#include "weft/base/json.h"
#include "weft/base/log.h"
#include "weft/base/terminal.h"
#include "weft/cli/command.h"

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

TrainSession::TrainSession(train::Trainer& trainer, bool json) : trainer_(trainer), json_(json) {
  interrupted = false;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

TrainSession::~TrainSession() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

train::TrainResult TrainSession::run(int64_t stop_after) {
  const train::TrainConfig& config = trainer_.config();
  if (!json_)
    log_info(format("{}: {} parameters, {} on {}", config.model.architecture,
                    format_count(double(models::parameter_count(trainer_.params()))), config.dtype,
                    default_device().description()));
  Progress bar("train", config.steps);
  train::RunOptions options;
  options.stop_after = stop_after;
  options.interrupt = &interrupted;
  options.on_step = [&](const train::StepReport& r) {
    bar.update(r.step, {{"loss", format("{:.3f}", r.loss)},
                        {"", format_count(r.tokens_per_second) + " tok/s"},
                        {"", format_duration(r.seconds_left) + " left"},
                        {"", format_bytes(double(r.memory_bytes))}});
  };
  options.on_evaluation = [&](int64_t step, const train::Evaluation& e, bool best) {
    if (json_)
      print_json({{"event", "evaluation"}, {"step", step}, {"val_loss", e.loss}, {"best", best}});
    else
      bar.note(format("step {:6}  validation loss {:.4f}{}", step, e.loss, best ? "  best" : ""));
  };
  const train::TrainResult result = trainer_.run(options);
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
                {"weights_sha256", r.weights_sha256}});
    return;
  }
  std::printf("step %lld of %lld, %s tokens/s, peak %s (planned %s)\n",
              static_cast<long long>(r.step), static_cast<long long>(trainer_.config().steps),
              format_count(r.tokens_per_second).c_str(),
              format_bytes(double(r.peak_memory_bytes)).c_str(),
              format_bytes(double(r.planned_peak_bytes)).c_str());
  if (r.val_loss)
    std::printf("validation loss %.4f, best %.4f at step %lld\n", *r.val_loss,
                r.best_loss.value_or(*r.val_loss), static_cast<long long>(r.best_step));
  if (r.finished)
    std::printf("try: weft generate %s --prompt \"...\"\n", run.c_str());
  else
    std::printf("stopped; go on with: weft train --resume %s\n", run.c_str());
}

}  // namespace weft::cli
