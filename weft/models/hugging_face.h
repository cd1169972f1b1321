// A model's directory as transformers reads and writes it: config.json, safetensors in one file or
// several, generation_config.json. Tokenizer files are not touched here.
#pragma once
#include <string>

#include "weft/base/file.h"
#include "weft/models/hugging_face_config.h"

namespace weft::models {

// Whether the directory's config.json is one of transformers.
bool is_hugging_face_directory(const std::string& directory);

struct HuggingFaceModel {
  HuggingFaceConfig config;
  Params params;
  GenerationConfig generation;
};

// `as`: the type of the parameters; default: as they are in the files, f16 as f32. The files are
// mapped while their tensors are copied. Error(data) naming the tensor that is missing, unknown or
// of another shape than config.json asks for.
HuggingFaceModel read_hugging_face(const std::string& directory, std::optional<DType> as = {});

struct HuggingFaceOptions {
  DType dtype = DType::f32;                 // f32, bf16 or f16; values are rounded to it
  uint64_t most_bytes = uint64_t(5) << 30;  // of one file
};
// Writes the model's files into a directory that exists.
void write_hugging_face(const ModelConfig& config, const Params& params,
                        const std::string& directory, const HuggingFaceOptions& options,
                        FileSystem& fs = posix_file_system());

}  // namespace weft::models
