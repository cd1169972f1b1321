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

Tensor run_block(const std::string& path, const BlockFunction& block, const Params& params,
                 const ForwardInputs& in, const Tensor& x, const Tensors& constants) {
  if (!in.recompute) return block(params, in, x, constants);
  WEFT_CHECK(!in.cache, "a cache is for what has no backward pass");
  Tensors inputs{x, in.where.positions, in.where.segments};
  if (in.dropout.p > 0) inputs.push_back(in.dropout.rng);
  inputs.insert(inputs.end(), constants.begin(), constants.end());
  std::vector<std::string> names;
  for (auto it = params.lower_bound(path + "."); it != params.end(); ++it) {
    if (!it->first.starts_with(path + ".")) break;
    names.push_back(it->first), inputs.push_back(it->second);
  }
  const auto again = [=, count = constants.size()](const Tensors& given) {
    auto next = given.begin();
    const Tensor& first = *next++;
    ForwardInputs own = in;
    own.where.positions = *next++, own.where.segments = *next++;
    if (own.dropout.p > 0) own.dropout.rng = *next++;
    const Tensors tables(next, next + std::ptrdiff_t(count));
    next += std::ptrdiff_t(count);
    Params below;
    for (const std::string& name : names) below[name] = *next++;
    return Tensors{block(below, own, first, tables)};
  };
  return checkpoint(again, inputs)[0];
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
