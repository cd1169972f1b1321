// The safetensors format: 8 bytes of little-endian header length, a JSON header, then the tensors'
// bytes back to back. https://huggingface.co/docs/safetensors (format), read more strictly: see
// parse_safetensors.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "weft/base/file.h"
#include "weft/base/sha256.h"
#include "weft/tensor/array.h"
#include "weft/tensor/dtype.h"

namespace weft {

// A tensor's bytes inside a file, row-major, little-endian. Files of other programs may leave them
// at any alignment: copy, do not cast.
struct TensorView {
  DType dtype;
  Shape shape;
  Bytes bytes;
};

struct Safetensors {
  std::map<std::string, TensorView> tensors;
  std::map<std::string, std::string> metadata;
};

// The tensors in the bytes of a file; the views point into `file`. Error(data), naming `what` and
// the tensor, unless: the header is at most 100 MB of JSON inside the file and starts with '{';
// names are unique and at most 4 KiB; dtypes are Weft's; shapes have at most 8 dimensions; the
// extents have the size of dtype and shape and cover the rest of the file without a gap or an
// overlap.
Safetensors parse_safetensors(Bytes file, const std::string& what);

// The same over a mapped file, which it keeps open.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::map<std::string, TensorView>& tensors() const { return content_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return content_.metadata; }
  // Error(data) naming the file when there is none of that name.
  const TensorView& tensor(const std::string& name) const;

 private:
  MappedFile file_;
  Safetensors content_;
};

// What a file's bytes must be, for a manifest.
struct FileDigest {
  uint64_t bytes = 0;
  Sha256Digest sha256{};
};

struct TensorSpec {
  std::string name;
  DType dtype;
  Shape shape;
};

// Writes a file as a stream: the header at once, then the tensors' bytes in the order of order(),
// in pieces of any size. The data starts at a multiple of 64 and every tensor at a multiple of its
// element size.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, std::vector<TensorSpec> tensors,
                    const std::map<std::string, std::string>& metadata = {},
                    FileSystem& fs = posix_file_system());

  // Larger elements first, then by name.
  const std::vector<TensorSpec>& order() const { return order_; }
  void write(Bytes piece);
  // Durable under its name when it returns.
  FileDigest commit();

 private:
  void put(Bytes bytes);

  std::vector<TensorSpec> order_;
  uint64_t data_bytes_ = 0, written_ = 0;
  FileDigest digest_;
  Sha256 hash_;
  AtomicFile file_;
};

struct NamedTensor {
  TensorSpec spec;
  Bytes bytes;  // on the host
};
FileDigest write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                             const std::map<std::string, std::string>& metadata = {},
                             FileSystem& fs = posix_file_system());

}  // namespace weft
