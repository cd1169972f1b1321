// Checkpoints beside training: the state is copied into planned buffers between two steps, and a
// thread of its own hashes and writes the copy.
#pragma once
#include <future>
#include <string>
#include <vector>

#include "weft/io/safetensors.h"
#include "weft/train/run_folder.h"

namespace weft::train {

struct SaveRequest {
  bool resumable = false;  // step-N: weights and optimizer
  bool best = false;       // best-N: weights
  Position position = {};
  TrainConfig config = {};
};

class Saver {
 public:
  // Allocates the buffers for a state like `like`. metrics outlives the saver.
  Saver(std::string run, const State& like, Metrics& metrics, FileSystem& fs = posix_file_system());
  ~Saver();  // waits
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;

  // Is one being written? Throws what went wrong with the last one.
  bool busy();
  // Copies the state and returns; waits first if one is being written.
  void start(const State& state, SaveRequest request);
  // Returns when all is durable.
  void finish();

  // The newest step that can be resumed from and was written by this saver; -1: none. Behind
  // start() until the write is seen to be done by busy() or finish().
  int64_t saved_step() const { return saved_step_; }
  int64_t planned_bytes() const { return int64_t(buffer_->bytes()); }

 private:
  void add(const Params& params, const std::string& prefix, std::vector<NamedTensor>& to,
           size_t& offset);
  void write(const SaveRequest& request);
  void take_result();

  std::string run_;
  FileSystem& fs_;
  Metrics& metrics_;
  BufferPtr buffer_;                            // the copy of the state
  std::vector<NamedTensor> model_, optimizer_;  // into it
  std::future<int64_t> writing_;
  int64_t saved_step_ = -1;
};

}  // namespace weft::train
