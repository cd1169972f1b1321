#include "weft/models/hugging_face.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <span>

#include "weft/base/json.h"
#include "weft/base/utf8.h"
#include "weft/io/sharded_safetensors.h"

namespace weft::models {
namespace {

// A layer's name here and there; GPT-2's weights lie transposed, [in, out].
struct Module {
  std::string_view ours, theirs;
  bool transposed = false;
};
struct Names {
  std::string_view prefix;  // of all but the head; files of bare models lack it
  std::string_view blocks;
  std::vector<Module> outer, block;
};

const Names gpt2_names = {"transformer.",
                          "h",
                          {{"tokens", "wte"}, {"positions", "wpe"}, {"norm", "ln_f"}},
                          {{"norm1", "ln_1"},
                           {"attention.qkv", "attn.c_attn", true},
                           {"attention.out", "attn.c_proj", true},
                           {"norm2", "ln_2"},
                           {"mlp.up", "mlp.c_fc", true},
                           {"mlp.down", "mlp.c_proj", true}}};
const Names llama_names = {"model.",
                           "layers",
                           {{"tokens", "embed_tokens"}, {"norm", "norm"}},
                           {{"norm1", "input_layernorm"},
                            {"attention.q", "self_attn.q_proj"},
                            {"attention.k", "self_attn.k_proj"},
                            {"attention.v", "self_attn.v_proj"},
                            {"attention.out", "self_attn.o_proj"},
                            {"attention.q_norm", "self_attn.q_norm"},
                            {"attention.k_norm", "self_attn.k_norm"},
                            {"norm2", "post_attention_layernorm"},
                            {"mlp.gate", "mlp.gate_proj"},
                            {"mlp.up", "mlp.up_proj"},
                            {"mlp.down", "mlp.down_proj"}}};

const Names& names_of(const ModelConfig& config) {
  return config.architecture == "gpt2" ? gpt2_names : llama_names;
}

// Where a parameter lies in a file.
struct Place {
  std::string name;
  bool transposed = false;
};

Place place_in(const std::vector<Module>& modules, std::string_view module,
               const std::string& before, std::string_view kind) {
  const auto found = std::ranges::find(modules, module, &Module::ours);
  WEFT_CHECK(found != modules.end(), "{}", module);
  return {format("{}{}.{}", before, found->theirs, kind), found->transposed && kind == "weight"};
}

// Of "blocks.3.attention.q.weight": "model.layers.3.self_attn.q_proj.weight".
Place place_of(const Names& names, std::string_view prefix, std::string_view path) {
  const size_t dot = path.rfind('.');
  std::string_view module = path.substr(0, dot);
  const std::string_view kind = path.substr(dot + 1);
  if (module == "head") return {"lm_head.weight"};
  if (!module.starts_with("blocks."))
    return place_in(names.outer, module, std::string(prefix), kind);
  module.remove_prefix(7);
  const size_t end = module.find('.');
  const std::string before = format("{}{}.{}.", prefix, names.blocks, module.substr(0, end));
  return place_in(names.block, module.substr(end + 1), before, kind);
}

Shape file_shape(const Shape& shape, bool transposed) {
  return transposed ? Shape{shape[1], shape[0]} : shape;
}

// The value at [i, j] of a matrix goes to [j, i].
template <class From, class To>
void copy_values(const From* from, To* to, const Shape& shape, bool transposed) {
  const int64_t rows = transposed ? shape[0] : 1,
                columns = shape.elements() / std::max<int64_t>(rows, 1);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      const float x = float(from[i * columns + j]);
      to[transposed ? j * rows + i : j] = To(x);
    }
}

// The values of `from`, which may lie at any alignment, as another type and transposed.
std::vector<std::byte> converted(Bytes from, DType from_type, DType to_type, const Shape& shape,
                                 bool transposed) {
  std::vector<std::byte> to(size_t(shape.elements()) * dtype_size(to_type));
  const std::vector<std::byte> aligned(from.begin(), from.end());
  const auto convert = [&](auto in, auto out) {
    copy_values(reinterpret_cast<const decltype(in)*>(aligned.data()),
                reinterpret_cast<decltype(out)*>(to.data()), shape, transposed);
  };
  const auto convert_to = [&](auto in) {
    if (to_type == DType::f32) return convert(in, float());
    if (to_type == DType::bf16) return convert(in, bf16());
    WEFT_CHECK(to_type == DType::f16, "{}", dtype_name(to_type));
    convert(in, f16());
  };
  if (from_type == DType::f32)
    convert_to(float());
  else if (from_type == DType::bf16)
    convert_to(bf16());
  else
    convert_to(f16());
  return to;
}

class Reader {
 public:
  Reader(const std::string& directory, const ModelConfig& config, std::optional<DType> as)
      : files_(directory),
        config_(config),
        names_(names_of(config)),
        prefix_(names_.prefix),
        as_(as) {
    if (!files_.find(place_of(names_, prefix_, "tokens.weight").name)) prefix_ = "";
    if (!files_.find(place_of(names_, prefix_, "tokens.weight").name)) prefix_ = names_.prefix;
  }

  Params read() {
    // Only the shapes are read: nothing is computed.
    const Params wanted = find_architecture(config_.architecture).initialize(config_, 0);
    Params params;
    for (const auto& [path, value] : wanted) params[path] = load(path, value.dims().max_shape());
    for (const auto& [name, view] : files_.tensors())
      if (!used_.contains(name) && !is_known_extra(name, view))
        data_error("{} has a tensor {} that its config.json leaves no place for",
                   files_.directory(), in_quotes(name));
    return params;
  }

 private:
  Tensor load(const std::string& path, const Shape& shape) {
    const Place place = place_of(names_, prefix_, path);
    const TensorView* const view = files_.find(place.name);
    if (!view)
      data_error("{} has no tensor {}, but its config.json asks for one", files_.directory(),
                 in_quotes(place.name));
    const Shape expected = file_shape(shape, place.transposed);
    if (view->shape != expected)
      data_error("{}: tensor {} is {}, but config.json asks for {}", files_.directory(),
                 in_quotes(place.name), view->shape.str(), expected.str());
    const DType from = view->dtype;
    if (from != DType::f32 && from != DType::bf16 && from != DType::f16)
      data_error("{}: tensor {} must be f32, bf16 or f16, got {}", files_.directory(),
                 in_quotes(place.name), dtype_name(from));
    used_.insert(place.name);
    const DType to = as_.value_or(from == DType::f16 ? DType::f32 : from);
    Array array(default_device(), to, shape);
    if (to == from && !place.transposed)
      default_device().copy_from_host(array.data(), view->bytes.data(), view->bytes.size());
    else
      default_device().copy_from_host(
          array.data(), converted(view->bytes, from, to, expected, place.transposed).data(),
          array.bytes());
    return array;
  }

  // Buffers that old versions saved, and a second copy of a tied embedding.
  bool is_known_extra(const std::string& name, const TensorView& view) const {
    const bool gpt2 = config_.architecture == "gpt2";
    if (gpt2 && (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"))) return true;
    if (!gpt2 && name.ends_with(".rotary_emb.inv_freq")) return true;
    if (name != "lm_head.weight" || !config_.tied) return false;
    const TensorView& tokens = *files_.find(place_of(names_, prefix_, "tokens.weight").name);
    return view.dtype == tokens.dtype && view.shape == tokens.shape &&
           std::ranges::equal(view.bytes, tokens.bytes);
  }

  ShardedSafetensors files_;
  const ModelConfig& config_;
  const Names& names_;
  std::string_view prefix_;
  std::optional<DType> as_;
  std::set<std::string> used_;
};

// A config is small; reading one takes time that grows with the square of its keys.
constexpr JsonLimits config_limits = {.max_bytes = 1 << 20, .max_depth = 16, .max_values = 20000};

}  // namespace

bool is_hugging_face_directory(const std::string& directory) {
  const std::string path = directory + "/config.json";
  return path_exists(path) && is_hugging_face_config(read_json(path, config_limits));
}

HuggingFaceModel read_hugging_face(const std::string& directory, std::optional<DType> as) {
  const std::string path = directory + "/config.json",
                    generation = directory + "/generation_config.json";
  HuggingFaceModel model;
  model.config = hugging_face_config(read_json(path, config_limits), path);
  if (path_exists(generation))
    model.generation = generation_config(read_json(generation, config_limits),
                                         model.config.model.vocab, generation);
  model.params = Reader(directory, model.config.model, as).read();
  return model;
}

void write_hugging_face(const ModelConfig& given, const Params& params,
                        const std::string& directory, const HuggingFaceOptions& options,
                        FileSystem& fs) {
  check_params(given, params);
  ModelConfig config = given;
  config.hidden = nn::parameter(params, "blocks.0.mlp.up.weight").dim(0).constant();
  const Json json = to_hugging_face({config, options.dtype});
  const Names& names = names_of(config);
  std::vector<TensorSpec> specs;
  std::map<std::string, std::pair<std::string, bool>> sources;  // path, transposed
  for (const auto& [path, value] : params) {
    const Place place = place_of(names, names.prefix, path);
    specs.push_back(
        {place.name, options.dtype, file_shape(value.dims().max_shape(), place.transposed)});
    sources[place.name] = {path, place.transposed};
  }
  const auto source = [&](const TensorSpec& t) {
    const auto& [path, transposed] = sources.at(t.name);
    const Array& array = params.at(path).value();
    std::vector<std::byte> raw(array.bytes());
    array.device().copy_to_host(raw.data(), array.data(), raw.size());
    return converted(raw, array.dtype(), t.dtype, array.shape(), transposed);
  };
  write_sharded_safetensors(directory, specs, source, options.most_bytes, fs);
  write_file_atomic(directory + "/config.json", dump_json(json, 2) + "\n", fs);
  write_file_atomic(directory + "/generation_config.json", "{}\n", fs);
}

}  // namespace weft::models
