#include "weft/train/saver.h"

#include <chrono>
#include <map>
#include <set>

#include "weft/base/error.h"
#include "weft/base/json.h"

namespace weft::train {
namespace {

// The best step that a checkpoint knows of; nothing if it is damaged.
std::optional<int64_t> best_step_of(const std::string& checkpoint) {
  try {
    return read_position(open_checkpoint(checkpoint, Verify::sizes)).best_step;
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Best weights stay as long as a checkpoint that knows them as the best does, so that whatever is
// resumed from has its best weights.
void prune_best(const std::string& root, FileSystem& fs) {
  std::set<int64_t> known;
  std::map<int64_t, std::string> best;
  for (const DirectoryEntry& entry : list_directory(root)) {
    const std::string path = root + "/" + entry.name;
    if (const auto step = step_in_name(entry.name, "best-")) best[*step] = path;
    if (step_in_name(entry.name, "step-"))
      if (const auto step = best_step_of(path)) known.insert(*step);
  }
  for (const auto& [step, path] : best)
    if (!known.contains(step)) remove_tree(path, fs);
}

}  // namespace

Saver::Saver(std::string run, const State& like, Metrics& metrics, FileSystem& fs)
    : run_(std::move(run)), fs_(fs), metrics_(metrics) {
  const int64_t bytes = bytes_of(like.params) + bytes_of(like.m) + bytes_of(like.v);
  buffer_ = like.params.begin()->second.value().device().allocate(size_t(bytes));
  size_t offset = 0;
  add(like.params, "", model_, offset);
  add(like.m, "m.", optimizer_, offset);
  add(like.v, "v.", optimizer_, offset);
}

Saver::~Saver() {
  if (writing_.valid()) writing_.wait();
}

void Saver::add(const Params& params, const std::string& prefix, std::vector<NamedTensor>& to,
                size_t& offset) {
  for (const auto& [path, tensor] : params) {
    const Array& array = tensor.value();
    to.push_back(
        {{prefix + path, array.dtype(), array.shape()}, {buffer_->data() + offset, array.bytes()}});
    offset += array.bytes();
  }
}

bool Saver::busy() {
  if (!writing_.valid()) return false;
  if (writing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return true;
  take_result();
  return false;
}

void Saver::finish() {
  if (writing_.valid()) take_result();
}

void Saver::take_result() {
  saved_step_ = std::max(saved_step_, writing_.get());
}

void Saver::start(const State& state, SaveRequest request) {
  finish();
  std::byte* to = buffer_->data();
  for (const Params* params : {&state.params, &state.m, &state.v})
    for (const auto& [path, tensor] : *params) {
      const Array& array = tensor.value();
      array.device().copy_to_host(to, array.data(), array.bytes());
      to += array.bytes();
    }
  writing_ = std::async(std::launch::async, [this, request = std::move(request)] {
    write(request);
    return request.resumable ? request.position.step : int64_t(-1);
  });
}

// The best weights come first: a checkpoint that knows of them is durable after them.
void Saver::write(const SaveRequest& request) {
  const std::string root = checkpoints_of(run_);
  const int64_t step = request.position.step;
  const Json meta = to_json(request.position, request.config);
  metrics_.sync();
  if (request.best) {
    CheckpointWriter writer(root, "best", step, fs_);
    writer.add_tensors("model.safetensors", model_);
    writer.commit(meta);
  }
  if (!request.resumable) return;
  CheckpointWriter writer(root, "step", step, fs_);
  writer.add_tensors("model.safetensors", model_);
  writer.add_tensors("optimizer.safetensors", optimizer_);
  writer.commit(meta);
  prune_checkpoints(root, "step", int(request.config.keep), fs_);
  prune_best(root, fs_);
  write_safetensors(run_ + "/model.safetensors", model_, {}, fs_);
}

}  // namespace weft::train
