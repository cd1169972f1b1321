#include "weft/models/hugging_face_config.h"

#include "weft/base/json.h"

namespace weft::models {
namespace {

constexpr int64_t most = int64_t(1) << 24;  // of any size here; validate() knows better

struct DTypeName {
  const char* name;
  DType dtype;
};
constexpr DTypeName dtype_names[] = {
    {"float32", DType::f32}, {"bfloat16", DType::bf16}, {"float16", DType::f16}};

// null stands for "not given".
Json without_nulls(const Json& object) {
  Json out = Json::object();
  auto& members = out.get_ref<Json::object_t&>();
  for (const auto& [key, value] : object.items())
    if (!value.is_null())
      members.std::vector<std::pair<const std::string, Json>>::emplace_back(key, value);
  return out;
}

void expect_flag(const JsonReader& in, const char* key, bool usual) {
  if (in.boolean_or(key, usual) != usual)
    in.refuse(key, usual ? "true: Weft has no other form" : "false: Weft has no other form");
}
void expect_word(const JsonReader& in, const char* key, const char* usual, const char* also) {
  const std::string word = in.string_or(key, usual);
  if (word != usual && word != also) in.refuse(key, format("\"{}\"", usual));
}

DType read_dtype(const JsonReader& in) {
  const char* key = in.has("dtype") ? "dtype" : "torch_dtype";
  const std::string name = in.string_or(key, "float32");
  for (const DTypeName& known : dtype_names)
    if (name == known.name) return known.dtype;
  in.refuse(key, "float32, bfloat16 or float16");
}

ModelConfig read_gpt2(const JsonReader& in) {
  ModelConfig c;
  c.architecture = "gpt2";
  c.context = in.integer("n_positions", 1, most);
  c.layers = in.integer("n_layer", 1, most), c.heads = in.integer("n_head", 1, most);
  c.width = in.integer("n_embd", 1, most), c.hidden = in.integer_or("n_inner", 0, 0, most);
  c.norm_epsilon = in.number_or("layer_norm_epsilon", 1e-5, 0, 1);
  c.tied = in.boolean_or("tie_word_embeddings", true);
  expect_word(in, "activation_function", "gelu_new", "gelu_pytorch_tanh");
  expect_flag(in, "scale_attn_weights", true);
  expect_flag(in, "scale_attn_by_inverse_layer_idx", false);
  expect_flag(in, "add_cross_attention", false);
  return c;
}

// transformers 5 has rope_parameters; before, rope_theta stood by itself beside rope_scaling.
void read_rope(const JsonReader& in, const Json& json, const std::string& what, ModelConfig& c) {
  c.rope_theta = in.number_or("rope_theta", 10000, 0, 1e12);
  if (in.number_or("partial_rotary_factor", 1, 0, 1) != 1)
    in.refuse("partial_rotary_factor", "1: Weft turns whole heads");
  const char* const key = in.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!in.has(key)) return;
  in.object(key);
  const Json inner = without_nulls(json[key]);
  const JsonReader rope(inner, format("{}: {}", what, key));
  c.rope_theta = rope.number_or("rope_theta", c.rope_theta, 0, 1e12);
  const std::string type = rope.string_or("rope_type", rope.string_or("type", "default"));
  if (type == "default") return;
  if (type != "llama3") in.refuse(key, "of rope_type default or llama3");
  c.rope_scaling = {rope.number("factor", 1, 1e6), rope.number("low_freq_factor", 0, 1e6),
                    rope.number("high_freq_factor", 0, 1e6),
                    rope.integer("original_max_position_embeddings", 1, most)};
}

// Layers from some place on may see a window; other mixtures are refused.
int64_t first_sliding_layer(const JsonReader& in, const ModelConfig& c) {
  if (!in.has("layer_types")) return in.integer_or("max_window_layers", 28, 0, most);
  const Json& types = in.array("layer_types", size_t(most));
  int64_t from = 0;
  for (size_t i = 0; i < types.size(); ++i) {
    const bool sliding = types[i] == "sliding_attention";
    if ((!sliding && types[i] != "full_attention") || (!sliding && from < int64_t(i)))
      in.refuse("layer_types", "full_attention some times, then sliding_attention");
    if (!sliding) from = int64_t(i) + 1;
  }
  if (int64_t(types.size()) != c.layers)
    in.refuse("layer_types", format("one type for each of {} layers", c.layers));
  return from;
}

void read_window(const JsonReader& in, const Json& given, const std::string& type, ModelConfig& c) {
  if (type == "mistral") {
    const bool none = given.contains("sliding_window") && given["sliding_window"].is_null();
    c.window = none ? 0 : in.integer_or("sliding_window", 4096, 1, most);
  } else if (type != "llama") {
    const int64_t from = first_sliding_layer(in, c);
    const bool used = in.boolean_or("use_sliding_window", false) && in.has("sliding_window");
    if (!used && in.has("layer_types") && from < c.layers)
      in.refuse("layer_types", "full_attention where no sliding_window is used");
    if (used && from < c.layers) {
      c.window = in.integer("sliding_window", 1, most);
      c.window_from = from;
    }
  }
}

// `json` is `given` without its nulls.
ModelConfig read_llama(const Json& json, const Json& given, const std::string& type,
                       const std::string& what) {
  const JsonReader in(json, what);
  ModelConfig c;
  c.architecture = "llama";
  c.context = in.integer("max_position_embeddings", 1, most);
  c.layers = in.integer("num_hidden_layers", 1, most);
  c.heads = in.integer("num_attention_heads", 1, most);
  c.kv_heads = type == "llama" ? in.integer_or("num_key_value_heads", c.heads, 1, most)
                               : in.integer("num_key_value_heads", 1, most);
  c.width = in.integer("hidden_size", 1, most);
  c.hidden = in.integer("intermediate_size", 1, most);
  c.head_dim = in.integer_or("head_dim", type == "qwen3" ? 128 : 0, 0, most);
  c.norm_epsilon = in.number_or("rms_norm_eps", 1e-6, 0, 1);
  c.tied = in.boolean_or("tie_word_embeddings", false);
  expect_word(in, "hidden_act", "silu", "swish");
  read_rope(in, json, what, c);
  read_window(in, given, type, c);
  const bool biases = in.boolean_or("attention_bias", false);
  if (type == "llama" || type == "qwen3") c.qkv_bias = c.out_bias = biases;
  if (type == "llama") c.mlp_bias = in.boolean_or("mlp_bias", false);
  if (type == "qwen2") c.qkv_bias = true;
  if (type == "qwen3") c.qk_norm = true;
  return c;
}

struct Family {
  const char *type, *model_class;
};

Family llama_family(const ModelConfig& c) {
  const auto refuse = [](const char* what) {
    user_error("transformers has no model with {}; such a model cannot be exported", what);
  };
  if (c.qk_norm) {
    if (c.mlp_bias || c.qkv_bias != c.out_bias)
      refuse("qk_norm and some but not all attention biases, or mlp_bias");
    return {"qwen3", "Qwen3ForCausalLM"};
  }
  if (c.qkv_bias && !c.out_bias) {
    if (c.mlp_bias) refuse("qkv_bias and mlp_bias but no out_bias");
    return {"qwen2", "Qwen2ForCausalLM"};
  }
  if (c.qkv_bias != c.out_bias) refuse("out_bias but no qkv_bias");
  if (c.window == 0) return {"llama", "LlamaForCausalLM"};
  if (c.qkv_bias || c.mlp_bias || c.window_from != 0)
    refuse("a window in some layers, or with biases, but without qkv_bias alone or qk_norm");
  return {"mistral", "MistralForCausalLM"};
}

void write_rope(const ModelConfig& c, Json& json) {
  const nn::RopeScaling& s = c.rope_scaling;
  json["rope_theta"] = c.rope_theta;
  json["rope_scaling"] = nullptr;
  if (s.factor != 1)
    json["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", s.factor},
                            {"low_freq_factor", s.low},
                            {"high_freq_factor", s.high},
                            {"original_max_position_embeddings", s.original_context}};
}

void write_window(const ModelConfig& c, const std::string& type, Json& json) {
  if (type == "llama") return;
  json["sliding_window"] = c.window ? Json(c.window) : Json(nullptr);
  if (type == "mistral") return;
  json["use_sliding_window"] = c.window != 0;
  json["max_window_layers"] = c.window ? c.window_from : c.layers;
}

Json write_llama(const ModelConfig& c) {
  const Family family = llama_family(c);
  Json json = {{"architectures", {family.model_class}},
               {"model_type", family.type},
               {"max_position_embeddings", c.context},
               {"num_hidden_layers", c.layers},
               {"num_attention_heads", c.heads},
               {"num_key_value_heads", c.key_heads()},
               {"head_dim", c.head_size()},
               {"hidden_size", c.width},
               {"intermediate_size", c.hidden},
               {"rms_norm_eps", c.norm_epsilon},
               {"hidden_act", "silu"},
               {"attention_dropout", 0.0}};
  write_rope(c, json);
  write_window(c, family.type, json);
  if (family.type == std::string("llama")) json["mlp_bias"] = c.mlp_bias;
  if (family.type != std::string("qwen2")) json["attention_bias"] = c.qkv_bias;
  return json;
}

Json write_gpt2(const ModelConfig& c) {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"n_positions", c.context},
          {"n_layer", c.layers},
          {"n_head", c.heads},
          {"n_embd", c.width},
          {"n_inner", c.hidden},
          {"layer_norm_epsilon", c.norm_epsilon},
          {"activation_function", "gelu_new"},
          {"attn_pdrop", c.dropout},
          {"embd_pdrop", c.dropout},
          {"resid_pdrop", c.dropout}};
}

void read_stop(const JsonReader& in, const Json& value, int64_t vocab, std::vector<int32_t>& stop) {
  const bool whole = value.is_number_unsigned();
  if (!whole || value.get<uint64_t>() >= uint64_t(vocab))
    in.refuse("eos_token_id", format("a token below {} or a list of them", vocab));
  stop.push_back(value.get<int32_t>());
}

}  // namespace

bool is_hugging_face_config(const Json& json) {
  return json.is_object() && json.contains("model_type");
}

HuggingFaceConfig hugging_face_config(const Json& given, const std::string& what) {
  if (!given.is_object()) data_error("{} must hold an object", what);
  const Json json = without_nulls(given);
  const JsonReader in(json, what);
  const std::string& type = in.string("model_type");
  if (in.has("quantization_config"))
    in.refuse("quantization_config", "absent: Weft does not read this model's quantized weights");
  HuggingFaceConfig config;
  if (type == "gpt2")
    config.model = read_gpt2(in);
  else if (type == "llama" || type == "mistral" || type == "qwen2" || type == "qwen3")
    config.model = read_llama(json, given, type, what);
  else
    in.refuse("model_type", "gpt2, llama, mistral, qwen2 or qwen3");
  config.model.vocab = in.integer("vocab_size", 1, most);
  config.dtype = read_dtype(in);
  try {
    find_architecture(config.model.architecture).validate(config.model);
  } catch (const Error& error) {
    data_error("{}: {}", what, error.what());
  }
  return config;
}

Json to_hugging_face(const HuggingFaceConfig& config) {
  const ModelConfig& c = config.model;
  Json json = c.architecture == "gpt2" ? write_gpt2(c) : write_llama(c);
  json["vocab_size"] = c.vocab;
  json["tie_word_embeddings"] = c.tied;
  json["bos_token_id"] = json["eos_token_id"] = nullptr;
  for (const DTypeName& known : dtype_names)
    if (config.dtype == known.dtype) json["torch_dtype"] = known.name;
  return json;
}

GenerationConfig generation_config(const Json& given, int64_t vocab, const std::string& what) {
  if (!given.is_object()) data_error("{} must hold an object", what);
  const Json json = without_nulls(given);
  const JsonReader in(json, what);
  GenerationConfig config;
  if (json.contains("eos_token_id")) {
    const Json& eos = json["eos_token_id"];
    if (!eos.is_array()) read_stop(in, eos, vocab, config.stop);
    if (eos.is_array())
      for (const Json& one : in.array("eos_token_id", 64)) read_stop(in, one, vocab, config.stop);
  }
  if (in.has("repetition_penalty"))
    config.repetition_penalty = in.number("repetition_penalty", 0.01, 100);
  if (!in.boolean_or("do_sample", false)) return config;
  config.temperature = in.number_or("temperature", 1, 0, 100);
  config.top_p = in.number_or("top_p", 1, 0, 1);
  if (in.has("min_p")) config.min_p = in.number("min_p", 0, 1);
  config.top_k = in.integer_or("top_k", 50, 0, most);
  return config;
}

}  // namespace weft::models
