// The tensors of a directory as Hugging Face lays it out: model.safetensors, or several files and
// model.safetensors.index.json, which says what lies where.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "weft/io/safetensors.h"

namespace weft {

// Tensor name -> file name, from the text of an index. Error(data), naming `what`, unless
// weight_map holds at least one tensor and every file name is a plain one that ends with
// .safetensors: no directories, so that nothing outside is read.
std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& what);

class ShardedSafetensors {
 public:
  // Maps the files. Error(data) when index and files disagree: each tensor must lie in the file
  // that the index says and nowhere else, and the index must name all there are.
  explicit ShardedSafetensors(const std::string& directory);

  const std::string& directory() const { return directory_; }
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const TensorView* find(const std::string& name) const;

 private:
  void add(const std::string& file, const std::map<std::string, std::string>& index);

  std::string directory_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, TensorView> tensors_;
};

// Whether a directory holds either form.
bool has_safetensors(const std::string& directory);

// Makes the bytes of a tensor, row-major.
using TensorSource = std::function<std::vector<std::byte>(const TensorSpec& tensor)>;
// One model.safetensors, or several files of at most `most_bytes` each (but at least one tensor)
// and their index. Asks for one tensor at a time.
void write_sharded_safetensors(const std::string& directory, const std::vector<TensorSpec>& tensors,
                               const TensorSource& source, uint64_t most_bytes,
                               FileSystem& fs = posix_file_system());

}  // namespace weft
