#include "weft/train/state.h"

#include "weft/base/file.h"
#include "weft/base/sha256.h"
#include "weft/graph/jit.h"

namespace weft::train {

Params zeros_like(const Params& params, Device& device) {
  Params out;
  for (const auto& [path, tensor] : params) {
    const Array array(device, tensor.dtype(), tensor.dims().max_shape());
    const std::vector<std::byte> zero(array.bytes());
    device.copy_from_host(array.data(), zero.data(), zero.size());
    out[path] = array;
  }
  return out;
}

State initial_state(const models::ModelConfig& model, uint64_t seed, Device& device) {
  State state;
  // A jit function of its own, because what eval() computes stays in its executable's hands.
  auto initialize =
      jit([&] { return models::find_architecture(model.architecture).initialize(model, seed); });
  state.params = initialize();
  state.m = zeros_like(state.params, device);
  state.v = zeros_like(state.params, device);
  return state;
}

State state_from(const Params& params, const models::ModelConfig& model, Device& device) {
  auto widen = jit([&](const Params& given) {
    Params masters = models::cast_params(given, DType::f32);
    const auto positions = masters.find("positions.weight");
    if (positions != masters.end() && positions->second.dim(0).constant() > model.context)
      positions->second = slice(positions->second, 0, 0, model.context);
    return masters;
  });
  State state;
  state.params = widen(params);
  models::check_params(model, state.params);
  state.m = zeros_like(state.params, device);
  state.v = zeros_like(state.params, device);
  return state;
}

int64_t bytes_of(const Params& params) {
  int64_t total = 0;
  for (const auto& [path, tensor] : params) total += int64_t(tensor.type().max_bytes());
  return total;
}

std::string weights_sha256(const Params& params) {
  Sha256 hash;
  for (const auto& [path, tensor] : params) {
    const Array& array = tensor.value();
    WEFT_CHECK(array.dtype() == DType::f32, "{} is {}", path, tensor.type().str());
    std::vector<int64_t> dims{array.shape().rank()};
    dims.insert(dims.end(), array.shape().dims().begin(), array.shape().dims().end());
    const std::vector<float> values = array.to_vector<float>();
    hash.update(as_bytes(std::string_view(path.c_str(), path.size() + 1)));
    hash.update(std::as_bytes(std::span(dims)));
    hash.update(std::as_bytes(std::span(values)));
  }
  return to_hex(hash.finish());
}

}  // namespace weft::train
