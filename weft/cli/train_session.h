// A training run as a person sees it: a progress bar or JSON lines, Ctrl-C, and the result. Shared
// by train and demo.
#pragma once
#include <memory>
#include <string>

#include "weft/base/progress.h"
#include "weft/train/trainer.h"

namespace weft::cli {

class TrainSession {
 public:
  // json: evaluations and the result as one JSON object a line on stdout. floor: the loss below
  // which no model of these data comes, shown beside that of this one; 0: not known.
  TrainSession(train::Trainer& trainer, bool json, double floor = 0);
  ~TrainSession();
  TrainSession(const TrainSession&) = delete;
  TrainSession& operator=(const TrainSession&) = delete;

  // Trains until the planned steps, `stop_after` (0: not) or SIGINT and SIGTERM, which save and
  // stop.
  train::TrainResult run(int64_t stop_after = 0);
  // What came of it, and what to type next.
  void report(const train::TrainResult& result, const std::string& run) const;

 private:
  // Model FLOPs utilisation: the model's operations a second over the measured rate of a large
  // product.
  double utilisation(double flops_per_step, double tokens_per_second) const;

  train::Trainer& trainer_;
  bool json_;
  double floor_;        // nats a token
  double matmul_rate_;  // operations a second
};

}  // namespace weft::cli
