// tests/models holds tiny models with random weights and transformers' logits for them
// (tools/oracles/hf_models.py).
#include "weft/models/hugging_face.h"

#include <cmath>
#include <filesystem>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/temp_directory.h"
#include "weft/base/json.h"
#include "weft/io/sharded_safetensors.h"

namespace weft::models {
namespace {

using testing::TempDirectory;

std::string fixture(const std::string& family) {
  return "tests/models/" + family;
}

Tensor ints(const Shape& shape, const std::vector<int32_t>& values) {
  return Tensor(Array::from<int32_t>(default_device(), shape, values));
}

std::vector<float> logits(const HuggingFaceModel& model, DType dtype,
                          const std::vector<int32_t>& tokens) {
  const ModelConfig& config = model.config.model;
  const int32_t n = int32_t(tokens.size());
  std::vector<int32_t> positions;
  for (int32_t i = 0; i < n; ++i) positions.push_back(i);
  ForwardInputs in;
  in.tokens = ints({n}, tokens);
  in.where = {ints({n}, positions), ints({1, 4}, {0, n, 0, n}), {}, config.context};
  const Architecture& architecture = find_architecture(config.architecture);
  const Params params = cast_params(model.params, dtype);
  return matmul(architecture.hidden(config, params, in), architecture.head(config, params),
                "td,vd->tv", DType::f32)
      .to_vector<float>();
}

template <class T>
std::vector<T> values(const SafetensorsFile& file, const char* name) {
  const TensorView& view = file.tensor(name);
  const Array array(default_device(), view.dtype, view.shape);
  default_device().copy_from_host(array.data(), view.bytes.data(), view.bytes.size());
  return array.to_vector<T>();
}

double largest(const std::vector<float>& x) {
  double most = 0;
  for (const float value : x) most = std::max(most, std::abs(double(value)));
  return most;
}
// The largest difference over the largest value; and the root of the mean square.
double off_by(const std::vector<float>& x, const std::vector<float>& y) {
  double most = 0;
  for (size_t i = 0; i < x.size(); ++i)
    most = std::max(most, std::abs(double(x[i]) - double(y[i])));
  return most / largest(y);
}
double rms(const std::vector<float>& x, const std::vector<float>& y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += std::pow(double(x[i]) - double(y[i]), 2);
  return std::sqrt(sum / double(x.size()));
}

class Family : public ::testing::TestWithParam<const char*> {};

TEST_P(Family, LogitsAreThoseOfTransformers) {
  const HuggingFaceModel model = read_hugging_face(fixture(GetParam()));
  const SafetensorsFile expected(fixture(GetParam()) + "/expected.safetensors");
  const auto tokens = values<int32_t>(expected, "tokens");
  const auto f32 = values<float>(expected, "f32"), bf16 = values<float>(expected, "bf16");
  ASSERT_EQ(f32.size(), tokens.size() * 64);
  const double error = off_by(logits(model, DType::f32, tokens), f32);
  EXPECT_LE(error, 1e-5);
  const double theirs = rms(bf16, f32), ours = rms(logits(model, DType::bf16, tokens), f32);
  EXPECT_LE(ours, 2 * theirs);
  RecordProperty("f32", format("{:.1e}", error));
  RecordProperty("bf16_of_theirs", format("{:.2f}", ours / theirs));
}

// What is read, written and read again has the same bits and the same config.
TEST_P(Family, SurvivesWriting) {
  const HuggingFaceModel model = read_hugging_face(fixture(GetParam()), DType::f32);
  for (const uint64_t most : {uint64_t(3000), uint64_t(1) << 40}) {
    const TempDirectory dir;
    write_hugging_face(model.config.model, model.params, dir.path(), {.most_bytes = most});
    EXPECT_EQ(path_exists(dir / "model.safetensors.index.json"), most == 3000);
    ASSERT_TRUE(is_hugging_face_directory(dir.path()));
    const HuggingFaceModel again = read_hugging_face(dir.path());
    EXPECT_EQ(to_hugging_face(again.config), to_hugging_face({model.config.model, DType::f32}));
    ASSERT_EQ(again.params.size(), model.params.size());
    for (const auto& [path, value] : model.params)
      EXPECT_EQ(again.params.at(path).to_vector<float>(), value.to_vector<float>()) << path;
  }
}

INSTANTIATE_TEST_SUITE_P(HuggingFace, Family,
                         ::testing::Values("gpt2", "llama", "llama_biases", "llama3", "mistral",
                                           "qwen2", "qwen3"),
                         [](const auto& param) { return std::string(param.param); });

TEST(HuggingFace, RoundsToTheTypeThatIsAskedFor) {
  const HuggingFaceModel model = read_hugging_face(fixture("llama3"));
  const TempDirectory dir;
  write_hugging_face(model.config.model, model.params, dir.path(), {.dtype = DType::bf16});
  const HuggingFaceModel rounded = read_hugging_face(dir.path());
  EXPECT_EQ(rounded.config.dtype, DType::bf16);
  const Tensor& x = model.params.at("norm.weight");
  ASSERT_EQ(rounded.params.at("norm.weight").dtype(), DType::bf16);
  const auto exact = x.to_vector<float>(),
             got = rounded.params.at("norm.weight").to_vector<float>();
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_EQ(got[i], float(bf16(exact[i])));
}

// The directory of a family with a changed config.json, or with other tensors.
struct Copy {
  TempDirectory dir;
  Json config;
  explicit Copy(const std::string& family) {
    std::filesystem::copy(fixture(family), dir.path());
    config = read_json(dir / "config.json");
  }
  void open() {
    write_file_atomic(dir / "config.json", dump_json(config));
    read_hugging_face(dir.path());
  }
  // Writes the tensors again, changed by f(name, spec); an empty name leaves one out.
  template <class F>
  void change_tensors(F f) {
    const ShardedSafetensors files(fixture("llama"));
    std::vector<TensorSpec> specs;
    for (const auto& [name, view] : files.tensors()) {
      specs.push_back({name, view.dtype, view.shape});
      f(specs.back());
      if (specs.back().name.empty()) specs.pop_back();
    }
    std::filesystem::remove(dir / "model.safetensors");
    write_sharded_safetensors(
        dir.path(), specs,
        [](const TensorSpec& t) {
          return std::vector<std::byte>(size_t(t.shape.elements()) * dtype_size(t.dtype));
        },
        uint64_t(1) << 40);
  }
};

TEST(HuggingFace, TensorsThatAreMissingUnknownOrOfAnotherShapeAreNamed) {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const auto refused = [&](auto change, const std::string& sentence) {
    Copy copy("llama");
    copy.change_tensors([&](TensorSpec& t) {
      if (t.name == name) change(t);
    });
    EXPECT_ERROR(data, sentence, copy.open());
  };
  refused([](TensorSpec& t) { t.name.clear(); }, "has no tensor \"" + name + "\"");
  refused(
      [](TensorSpec& t) {
        t.shape = {16, 24};
      },
      "tensor \"" + name + "\" is [16, 24], but config.json asks for [24, 16]");
  refused([](TensorSpec& t) { t.dtype = DType::i32; }, "must be f32, bf16 or f16, got i32");
  refused([](TensorSpec& t) { t.name += "2"; }, "has no tensor");
  Copy more("llama");
  more.config["num_hidden_layers"] = 3;
  EXPECT_ERROR(data, "has no tensor \"model.layers.2.", more.open());
  Copy fewer("llama");
  fewer.config["num_hidden_layers"] = 1;
  EXPECT_ERROR(data, "has a tensor \"model.layers.1.", fewer.open());
  Copy wider("qwen2");
  wider.config["vocab_size"] = 65;
  EXPECT_ERROR(data, "\"model.embed_tokens.weight\" is [64, 16], but config.json asks for [65, 16]",
               wider.open());
}

TEST(HuggingFace, OldBuffersAndTheSecondCopyOfATiedHeadAreLeftOut) {
  Copy copy("llama");
  copy.config["tie_word_embeddings"] = true;
  EXPECT_ERROR(data, "has a tensor \"lm_head.weight\"", copy.open());  // it differs
  copy.change_tensors([](TensorSpec& t) {
    if (t.name == "model.norm.weight") t.dtype = DType::f32;
  });
  copy.open();  // now both are zero
}

TEST(HuggingFace, ConfigsOfWhatWeftDoesNotComputeAreRefused) {
  const auto refused = [](const char* family, const char* key, const Json& value,
                          const char* sentence) {
    Json config = read_json(fixture(family) + "/config.json");
    config[key] = value;
    EXPECT_ERROR(data, sentence, hugging_face_config(config, "config.json"));
  };
  const char* const here = "config.json: \"";
  refused("gpt2", "model_type", "gptx",
          "must be gpt2, llama, mistral, qwen2 or qwen3, got \"gptx\"");
  refused("gpt2", "activation_function", "relu", "must be \"gelu_new\", got \"relu\"");
  refused("gpt2", "scale_attn_by_inverse_layer_idx", true, "must be false");
  refused("gpt2", "n_head", 3, "heads that divide dim");
  refused("gpt2", "n_layer", 1e300, here);
  refused("gpt2", "n_embd", -16, here);
  refused("gpt2", "vocab_size", uint64_t(1) << 63, here);
  refused("llama", "hidden_act", "gelu", "must be \"silu\"");
  refused("llama", "num_key_value_heads", 3, "kv_heads that divide heads");
  refused("llama", "head_dim", 5, "even size");
  refused("llama", "dtype", "float8", "must be float32, bfloat16 or float16");
  refused("llama", "quantization_config", Json::object(), "quantized");
  refused("llama", "rope_parameters", {{"rope_type", "yarn"}}, "of rope_type default or llama3");
  refused("llama", "rope_parameters", {{"rope_type", "llama3"}}, "\"factor\" is missing");
  refused("llama", "rope_parameters", 7, "must be an object");
  refused("llama", "partial_rotary_factor", 0.5, "must be 1");
  refused("mistral", "sliding_window", 0, here);
  refused("mistral", "num_key_value_heads", nullptr, "\"num_key_value_heads\" is missing");
  refused("qwen2", "layer_types", {"sliding_attention", "full_attention"}, "full_attention some");
  refused("qwen2", "layer_types", {"full_attention"}, "one type for each of 2 layers");
  refused("qwen2", "use_sliding_window", false, "where no sliding_window is used");
  EXPECT_ERROR(data, "must hold an object", hugging_face_config(Json::array(), "config.json"));
}

TEST(HuggingFace, ReadsBothSpellings) {
  Json old = read_json(fixture("llama3") + "/config.json");
  old["rope_theta"] = old["rope_parameters"]["rope_theta"];
  old["rope_scaling"] = old["rope_parameters"];
  old["torch_dtype"] = old["dtype"];
  for (const char* key : {"rope_parameters", "dtype"}) old.erase(key);
  old["rope_scaling"].erase("rope_theta");
  const Json now = read_json(fixture("llama3") + "/config.json");
  EXPECT_EQ(to_hugging_face(hugging_face_config(old, "old")),
            to_hugging_face(hugging_face_config(now, "now")));
}

TEST(HuggingFace, MixturesThatTransformersLacksAreNotWritten) {
  const ModelConfig llama = read_hugging_face(fixture("llama")).config.model;
  const auto refused = [&](auto change) {
    ModelConfig config = llama;
    change(config);
    EXPECT_ERROR(user, "transformers has no model with", to_hugging_face({config, DType::f32}));
  };
  refused([](ModelConfig& c) { c.qk_norm = c.mlp_bias = true; });
  refused([](ModelConfig& c) { c.qk_norm = c.qkv_bias = true; });
  refused([](ModelConfig& c) { c.out_bias = true; });
  refused([](ModelConfig& c) { c.qkv_bias = c.mlp_bias = true; });
  refused([](ModelConfig& c) { c.window = 4, c.window_from = 1; });
}

TEST(HuggingFace, GenerationConfig) {
  const auto read = [](const char* text) {
    return generation_config(parse_json(text, "test"), 64, "generation_config.json");
  };
  EXPECT_TRUE(read("{}").stop.empty());
  EXPECT_EQ(read(R"({"eos_token_id":3})").stop, (std::vector<int32_t>{3}));
  EXPECT_EQ(read(R"({"eos_token_id":[3,63]})").stop, (std::vector<int32_t>{3, 63}));
  EXPECT_FALSE(read(R"({"temperature":0.6})").temperature);
  const GenerationConfig sampled = read(R"({"do_sample":true,"temperature":0.6,"top_p":0.95})");
  EXPECT_EQ(sampled.temperature, 0.6);
  EXPECT_EQ(sampled.top_p, 0.95);
  EXPECT_EQ(sampled.top_k, 50);
  for (const char* bad : {R"({"eos_token_id":64})", R"({"eos_token_id":-1})",
                          R"({"eos_token_id":"x"})", R"({"eos_token_id":[[3]]})"})
    EXPECT_ERROR(data, "must be a token below 64 or a list of them", read(bad));
  EXPECT_ERROR(data, "\"top_p\"", read(R"({"do_sample":true,"top_p":2})"));
}

}  // namespace
}  // namespace weft::models
