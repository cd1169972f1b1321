// What a run leaves in its folder:
//   config.json         everything that decides what it computes, and which data it saw
//   tokenizer.json
//   metrics.jsonl       one line for each step and each evaluation
//   model.safetensors   the newest saved weights, f32, by path
//   checkpoints/        step-N: to resume from; best-N: the weights with the lowest validation loss
//   events.out.tfevents.N  the same for TensorBoard, from step N on
//   lock                held by the process that trains (base/file_lock.h)
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/io/checkpoint_files.h"
#include "weft/text/tokenizer.h"
#include "weft/train/config.h"
#include "weft/train/mixture.h"
#include "weft/train/outliers.h"
#include "weft/train/state.h"

namespace weft::train {

struct RunConfig {
  TrainConfig train;              // with model.vocab
  std::vector<MixturePart> data;  // the data directories
  // Where the weights came from, and their weights_sha256; empty: random.
  std::string init = {}, init_sha256 = {};
};
bool is_run(const std::string& run);
void write_run_config(const RunConfig& config, const std::string& run,
                      FileSystem& fs = posix_file_system());
// Error naming what is missing or wrong.
RunConfig read_run_config(const std::string& run);

std::string checkpoints_of(const std::string& run);
// 12 of "step-00000012" for the kind "step-"; nothing for other names.
std::optional<int64_t> step_in_name(std::string_view name, std::string_view kind);

// Where a run stands; a checkpoint's meta beside the tensors.
struct Position {
  int64_t step = 0;                      // steps done
  int64_t samples = 0;                   // training samples used: the next one's index
  std::optional<double> best_loss = {};  // on the validation split
  int64_t best_step = 0;                 // if there is a best_loss
  int64_t evaluated_step = 0;            // the newest one with an evaluation
  double train_seconds = 0, eval_seconds = 0;
  RecentValues losses = {}, norms = {};  // of the last steps, where skip_z needs them
};
Json to_json(const Position& position, const TrainConfig& config);
Position read_position(const Checkpoint& checkpoint);

// The tensors of a file by path, checked against the model; names without `prefix`.
Params read_params(const std::string& file, const models::ModelConfig& model, Device& device,
                   const std::string& prefix = "");
State read_state(const Checkpoint& checkpoint, const TrainConfig& config, Device& device);

// metrics.jsonl. Lines are in the file when line() returns, durable after sync().
class Metrics {
 public:
  // Drops what a run that stood at `step` had not written yet, and a last line that was cut off.
  Metrics(const std::string& run, int64_t step, FileSystem& fs = posix_file_system());
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  // fields: members of a JSON object, without braces.
  void line(int64_t step, const std::string& fields);
  void sync();

 private:
  std::string path_;
  int file_;
};

enum class Weights { newest, best };

// A trained model, to evaluate or to generate with.
struct LoadedRun {
  TrainConfig config;
  Params params;  // f32
  std::unique_ptr<Tokenizer> tokenizer;
  int64_t step = 0;
};
// From the newest whole checkpoint or the best one; a folder without checkpoints has its
// model.safetensors read.
LoadedRun load_run(const std::string& run, Weights which = Weights::newest);

}  // namespace weft::train
