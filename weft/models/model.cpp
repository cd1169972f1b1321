#include "weft/models/model.h"

#include "weft/models/architectures.h"

namespace weft::models {
namespace {

const Architecture* const table[] = {&gpt2, &llama};

}  // namespace

const Architecture& find_architecture(const std::string& name) {
  std::string known;
  for (const Architecture* a : table) {
    if (a->name == name) return *a;
    known += (known.empty() ? "" : ", ") + std::string(a->name);
  }
  user_error("\"{}\" is not an architecture; there is {}", name, known);
}

std::vector<std::string> architecture_names() {
  std::vector<std::string> names;
  for (const Architecture* a : table) names.emplace_back(a->name);
  return names;
}

Params cast_params(const Params& params, DType dtype) {
  Params out;
  for (const auto& [path, value] : params) out[path] = cast(value, dtype);
  return out;
}

int64_t parameter_count(const Params& params) {
  int64_t n = 0;
  for (const auto& [path, value] : params) n += value.dims().elements().constant();
  return n;
}

void check_params(const ModelConfig& config, const Params& params) {
  const Architecture& architecture = find_architecture(config.architecture);
  const Params wanted =
      architecture.initialize(config, 0);  // only the shapes are read: nothing is computed
  for (const auto& [path, value] : wanted) {
    const Tensor& found = nn::parameter(params, path);
    if (found.dims() != value.dims())
      data_error("parameter \"{}\" is {}, but the config asks for {}", path, found.dims().str(),
                 value.dims().str());
  }
  for (const auto& [path, value] : params)
    if (!wanted.contains(path))
      data_error("parameter \"{}\" is unknown to {}", path, config.architecture);
}

}  // namespace weft::models
