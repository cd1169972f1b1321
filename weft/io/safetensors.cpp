#include "weft/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "weft/base/json.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

constexpr uint64_t length_bytes = 8;
constexpr uint64_t max_header_bytes = 100'000'000;
constexpr size_t max_name_bytes = 4096;
constexpr std::string_view metadata_key = "__metadata__";
constexpr std::string_view dtype_names[] = {"F64", "F32", "BF16", "F16",
                                            "I64", "I32", "U8",   "BOOL"};

// One entry of the header: where a tensor lies in the data section.
struct Extent {
  const std::string* name;
  DType dtype;
  Shape shape;
  uint64_t begin, end;
};

// The bytes of dtype and shape, or nothing when the number does not fit. Zeros count as ones here,
// so that no partial product of the other dimensions overflows later.
std::optional<uint64_t> checked_bytes(DType dtype, std::span<const int64_t> dims) {
  int64_t product = int64_t(dtype_size(dtype));
  bool empty = false;
  for (const int64_t d : dims) {
    empty |= d == 0;
    if (d != 0 && __builtin_mul_overflow(product, d, &product)) return std::nullopt;
  }
  return empty ? 0 : uint64_t(product);
}

// Reads one entry; `tensor` is "file: tensor "name"" for its sentences.
class EntryReader {
 public:
  EntryReader(const Json& value, const std::string& tensor)
      : tensor_(tensor), entry_(value, tensor) {}

  Extent read(const std::string& name) const {
    entry_.allow_only({"dtype", "shape", "data_offsets"});
    const Json& offsets = entry_.array("data_offsets", 2);
    if (offsets.size() != 2) entry_.refuse("data_offsets", "an array of two integers");
    Extent e{&name, dtype(), shape(), offset(offsets[0]), offset(offsets[1])};
    const auto bytes = checked_bytes(e.dtype, e.shape.dims());
    if (!bytes)
      data_error("{}: shape {} has more bytes than 63 bits can count", tensor_, e.shape.str());
    if (e.end < e.begin || e.end - e.begin != *bytes)
      data_error("{}: {} of shape {} takes {} bytes, but data_offsets are {} and {}", tensor_,
                 dtype_name(e.dtype), e.shape.str(), *bytes, e.begin, e.end);
    return e;
  }

 private:
  DType dtype() const {
    const std::string& name = entry_.string("dtype");
    const auto* const found = std::ranges::find(dtype_names, name);
    if (found == std::end(dtype_names))
      entry_.refuse("dtype", "one of F64, F32, BF16, F16, I64, I32, U8, BOOL");
    return DType(found - std::begin(dtype_names));
  }
  Shape shape() const {
    const Json& list = entry_.array("shape", max_rank);
    int64_t dims[max_rank];
    for (size_t i = 0; i < list.size(); ++i) dims[i] = int64_t(count(list[i], "shape", INT64_MAX));
    return Shape(std::span<const int64_t>(dims, list.size()));
  }
  uint64_t offset(const Json& value) const { return count(value, "data_offsets", UINT64_MAX); }
  uint64_t count(const Json& value, std::string_view key, uint64_t most) const {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > most)
      data_error("{}: {} must hold integers from 0 to {}, got {}", tensor_, key, most,
                 in_quotes(dump_json(value)));
    return value.get<uint64_t>();
  }

  const std::string& tensor_;
  JsonReader entry_;
};

std::string tensor_in(const std::string& what, const std::string& name) {
  return format("{}: tensor {}", what, in_quotes(name));
}

Json parse_header(Bytes file, const std::string& what, uint64_t header_bytes) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + length_bytes,
                              header_bytes);
  if (!text.starts_with('{')) data_error("{}: a safetensors header starts with '{{'", what);
  return parse_json(text, what + " (header)", {.max_bytes = max_header_bytes, .max_depth = 4});
}

uint64_t header_length(Bytes file, const std::string& what) {
  uint64_t bytes = 0;
  if (file.size() < length_bytes)
    data_error("{} has {} bytes; a safetensors file has at least 8", what, file.size());
  std::memcpy(&bytes, file.data(), length_bytes);
  if (bytes > max_header_bytes || bytes > file.size() - length_bytes)
    data_error("{}: the header claims {} bytes; the file has {} left and the limit is {}", what,
               bytes, file.size() - length_bytes, max_header_bytes);
  return bytes;
}

std::map<std::string, std::string> read_metadata(const Json& value, const std::string& what) {
  std::map<std::string, std::string> metadata;
  if (!value.is_object()) data_error("{}: __metadata__ must be an object of strings", what);
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) data_error("{}: __metadata__ {} must be a string", what, in_quotes(key));
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

// Extents in order of place must cover the `size` bytes of data exactly.
void check_cover(std::vector<Extent>& extents, uint64_t size, const std::string& what) {
  std::ranges::sort(extents, [](const Extent& a, const Extent& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  uint64_t covered = 0;
  for (const Extent& e : extents) {
    if (e.begin != covered)
      data_error("{} starts at byte {} of the data, but the tensors before it end at {}",
                 tensor_in(what, *e.name), e.begin, covered);
    if (e.end > size)
      data_error("{} ends at byte {} of the data, but the file has only {}; is it cut off?",
                 tensor_in(what, *e.name), e.end, size);
    covered = e.end;
  }
  if (covered != size)
    data_error("{}: the tensors end at byte {} of the data, but the file goes on to {}", what,
               covered, size);
}

}  // namespace

Safetensors parse_safetensors(Bytes file, const std::string& what) {
  const uint64_t header_bytes = header_length(file, what);
  const Json header = parse_header(file, what, header_bytes);
  const Bytes data = file.subspan(length_bytes + header_bytes);
  Safetensors result;
  std::vector<Extent> extents;
  for (const auto& [name, value] : header.get_ref<const Json::object_t&>()) {
    if (name == metadata_key) {
      result.metadata = read_metadata(value, what);
      continue;
    }
    const std::string tensor = tensor_in(what, name);
    if (name.size() > max_name_bytes)
      data_error("{}: the name has {} bytes, at most {} are allowed", tensor, name.size(),
                 max_name_bytes);
    extents.push_back(EntryReader(value, tensor).read(name));
  }
  check_cover(extents, data.size(), what);
  for (const Extent& e : extents)
    result.tensors.emplace(*e.name,
                           TensorView{e.dtype, e.shape, data.subspan(e.begin, e.end - e.begin)});
  return result;
}

SafetensorsFile::SafetensorsFile(const std::string& path)
    : file_(path), content_(parse_safetensors(file_.bytes(), path)) {}

const TensorView& SafetensorsFile::tensor(const std::string& name) const {
  const auto found = content_.tensors.find(name);
  if (found == content_.tensors.end())
    data_error("{} has no tensor {} among its {}; is it a file of another model?", path(),
               in_quotes(name), content_.tensors.size());
  return found->second;
}

namespace {

std::vector<TensorSpec> in_file_order(std::vector<TensorSpec> tensors) {
  std::ranges::sort(tensors, [](const TensorSpec& a, const TensorSpec& b) {
    const size_t size_a = dtype_size(a.dtype), size_b = dtype_size(b.dtype);
    return size_a != size_b ? size_a > size_b : a.name < b.name;
  });
  return tensors;
}

void check_specs(const std::vector<TensorSpec>& tensors, const std::string& path) {
  std::vector<std::string_view> names;
  for (const TensorSpec& t : tensors) {
    if (t.name == metadata_key || t.name.size() > max_name_bytes ||
        find_invalid_utf8(t.name) != std::string::npos)
      user_error("{}: {} cannot name a tensor; give UTF-8 of at most {} bytes", path,
                 in_quotes(t.name), max_name_bytes);
    names.push_back(t.name);
  }
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice != names.end()) user_error("{}: two tensors are named {}", path, in_quotes(*twice));
}

// The header, padded with spaces so that the data starts at a multiple of 64.
std::string make_header(const std::vector<TensorSpec>& order,
                        const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  auto& members = header.get_ref<Json::object_t&>();
  if (!metadata.empty()) header[std::string(metadata_key)] = metadata;
  uint64_t offset = 0;
  for (const TensorSpec& t : order) {
    const uint64_t end = offset + uint64_t(t.shape.elements()) * dtype_size(t.dtype);
    Json entry = Json::object();
    entry["dtype"] = dtype_names[int(t.dtype)];
    entry["shape"] = Json(Json::array_t(t.shape.dims().begin(), t.shape.dims().end()));
    entry["data_offsets"] = {offset, end};
    members.std::vector<std::pair<const std::string, Json>>::emplace_back(t.name, std::move(entry));
    offset = end;
  }
  std::string text = dump_json(header);
  text.append((64 - (length_bytes + text.size()) % 64) % 64, ' ');
  return text;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::vector<TensorSpec> tensors,
                                     const std::map<std::string, std::string>& metadata,
                                     FileSystem& fs)
    : order_(in_file_order(std::move(tensors))), file_(path, fs) {
  check_specs(order_, path);
  for (const TensorSpec& t : order_)
    data_bytes_ += uint64_t(t.shape.elements()) * dtype_size(t.dtype);
  const std::string header = make_header(order_, metadata);
  if (header.size() > max_header_bytes)
    user_error("{}: a header of {} bytes is above the format's limit of {}; write several files",
               path, header.size(), max_header_bytes);
  const uint64_t length = header.size();
  put(std::as_bytes(std::span(&length, 1)));
  put(as_bytes(header));
}

void SafetensorsWriter::put(Bytes bytes) {
  hash_.update(bytes);
  file_.write(bytes);
  digest_.bytes += bytes.size();
}

void SafetensorsWriter::write(Bytes piece) {
  written_ += piece.size();
  WEFT_CHECK(written_ <= data_bytes_, "{}: {} of {} bytes", file_.path(), written_, data_bytes_);
  put(piece);
}

FileDigest SafetensorsWriter::commit() {
  WEFT_CHECK(written_ == data_bytes_, "{}: {} of {} bytes", file_.path(), written_, data_bytes_);
  digest_.sha256 = hash_.finish();
  file_.commit();
  return digest_;
}

FileDigest write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                             const std::map<std::string, std::string>& metadata, FileSystem& fs) {
  std::vector<TensorSpec> specs;
  std::map<std::string_view, Bytes> bytes;
  for (const NamedTensor& t : tensors) {
    const size_t expected = size_t(t.spec.shape.elements()) * dtype_size(t.spec.dtype);
    WEFT_CHECK(t.bytes.size() == expected, "{}: {} of {} bytes", t.spec.name, t.bytes.size(),
               expected);
    specs.push_back(t.spec);
    bytes[t.spec.name] = t.bytes;
  }
  SafetensorsWriter writer(path, std::move(specs), metadata, fs);
  for (const TensorSpec& t : writer.order()) writer.write(bytes.at(t.name));
  return writer.commit();
}

}  // namespace weft
