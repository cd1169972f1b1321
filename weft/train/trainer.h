// The training loop: batch, step, log, now and then an evaluation and a checkpoint. What is
// computed depends on the config and the data alone: not on threads, instruction set, interruptions
// or how often it was resumed.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "weft/base/file_lock.h"
#include "weft/io/event_file.h"
#include "weft/train/config.h"
#include "weft/train/evaluate.h"
#include "weft/train/mixture.h"
#include "weft/train/run_folder.h"
#include "weft/train/saver.h"
#include "weft/train/step.h"

namespace weft::train {

// After every step.
struct StepReport {
  int64_t step, steps;  // done, of all
  double loss, lr, grad_norm;
  double tokens_per_second;  // of late
  double seconds_left;       // without evaluations
  int64_t memory_bytes;      // held on the device now
};

struct RunOptions {
  int64_t stop_after = 0;  // a step; 0: the planned steps. Stops as an interrupt would
  const std::atomic<bool>* interrupt = nullptr;  // set by a signal handler; looked at between steps
  std::function<void(const StepReport&)> on_step = {};
  std::function<void(int64_t step, const Evaluation&, bool best)> on_evaluation = {};
};

struct TrainResult {
  int64_t step = 0;
  bool finished = false;  // all planned steps are done
  std::optional<double>
      val_loss;  // of the final weights on the whole validation split; not after an interrupt
  std::optional<double> best_loss;
  int64_t best_step = 0;
  double tokens_per_second =
      0;  // all training tokens over wall time without evaluation, resumed or not
  double train_seconds = 0, eval_seconds = 0;
  int64_t peak_memory_bytes = 0;  // measured by the device
  int64_t planned_peak_bytes = 0;
  int64_t arena_bytes = 0,
          arena_lower_bound = 0;  // a step's temporaries: as placed, and the most alive at once
  std::string weights_sha256;
};

struct ResumeOptions {
  std::optional<int64_t> steps =
      {};  // a new total. The cosine is that of the new total from here on
  std::optional<std::string> data = {};  // where the data directories lie now (train/mixture.h)
};

class Trainer {
 public:
  // A new run in the folder `run`, which is made. Error(user) if it holds a run already. The folder
  // is this object's alone for as long as it lives: Error(resource) in other processes.
  // data: one or more directories with their weights, as parse_mixture() takes them.
  // init: the weights to go on from (train/loaded_model.h) instead of random ones; the model is
  // theirs then but for context and dropout, and the data must have their tokenizer.
  static std::unique_ptr<Trainer> create(TrainConfig config, const std::string& data,
                                         const std::string& run,
                                         FileSystem& fs = posix_file_system(),
                                         const std::string& init = {});
  // Goes on from the newest whole checkpoint, or from the start if there is none yet.
  static std::unique_ptr<Trainer> resume(const std::string& run, const ResumeOptions& options = {},
                                         FileSystem& fs = posix_file_system());

  // To the planned steps, or as far as the options say. What was reached is durable when it
  // returns. Throws Error(data) when the loss is not finite; the checkpoints before are untouched.
  TrainResult run(const RunOptions& options = {});

  const TrainConfig& config() const { return config_.train; }
  const Mixture& data() const { return data_; }
  const Stepper& stepper() const { return stepper_; }
  int64_t step() const { return position_.step; }
  const Params& params() const { return stepper_.state().params; }

 private:
  Trainer(FileLock lock, RunConfig config, Mixture data, Samples samples, std::string run,
          State state, const Position& position, FileSystem& fs);

  void one_step(const RunOptions& options);
  Stepper::Outcome step_unless_outlier();
  void note_step(const Stepper::Outcome& outcome, double lr, double rate);
  bool evaluation_due() const;
  void evaluate_and_note(const RunOptions& options);
  void save_if_due();
  void save(bool resumable);
  TrainResult finish(bool interrupted);
  double lap();  // seconds since the last call

  FileLock lock_;  // of run_
  RunConfig config_;
  Mixture data_;
  Samples samples_;
  std::string run_;
  Device& device_;
  Position position_;
  Stepper stepper_;
  Evaluator evaluator_;
  Metrics metrics_;
  EventFile events_;
  Saver saver_;
  std::optional<double> val_loss_;  // of the current weights
  bool best_now_ = false;           // the current weights are the best, and not saved as such yet
  bool save_due_ = false;
  int64_t last_save_;  // the newest step that was handed to the saver or resumed from; -1: none
  int64_t steps_here_ = 0;  // done by this object
  int64_t not_finite_ = 0;  // steps in a row that were skipped because of that
  double step_seconds_ = 0, clock_ = 0;
};

}  // namespace weft::train
