#include "weft/io/gguf.h"

#include <cstring>

#include "weft/base/error.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

constexpr uint64_t max_keys = 65536, max_key_bytes = size_t(64) << 10;
constexpr uint64_t max_string_bytes = size_t(64) << 20, max_items = size_t(4) << 20;

// gguf_metadata_value_type
enum class Type : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

// Takes values from the front of the bytes; every read is checked.
class Cursor {
 public:
  Cursor(Bytes file, const std::string& what) : file_(file), what_(what) {}

  template <class T>
  T number() {
    T value;
    const Bytes bytes = take(sizeof(T));
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  std::string string(uint64_t most) {
    const uint64_t size = number<uint64_t>();
    if (size > most) refuse(format("a string has {} bytes, at most {} are allowed", size, most));
    const Bytes bytes = take(size);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  Type type() {
    const uint32_t type = number<uint32_t>();
    if (type > uint32_t(Type::f64)) refuse(format("{} is no type of value", type));
    return Type(type);
  }
  size_t left() const { return file_.size() - at_; }
  [[noreturn]] void refuse(const std::string& why) const {
    data_error("{} is not a GGUF file that Weft can read, at byte {}: {}", what_, at_, why);
  }

 private:
  Bytes take(uint64_t size) {
    if (size > left()) refuse(format("{} bytes are needed, {} are left", size, left()));
    const Bytes bytes = file_.subspan(at_, size);
    at_ += size;
    return bytes;
  }

  Bytes file_;
  const std::string& what_;
  size_t at_ = 0;
};

int64_t read_integer(Cursor& cursor, Type type) {
  switch (type) {
    case Type::u8:
      return cursor.number<uint8_t>();
    case Type::i8:
      return cursor.number<int8_t>();
    case Type::u16:
      return cursor.number<uint16_t>();
    case Type::i16:
      return cursor.number<int16_t>();
    case Type::u32:
      return cursor.number<uint32_t>();
    case Type::i32:
      return cursor.number<int32_t>();
    case Type::i64:
      return cursor.number<int64_t>();
    default:
      break;
  }
  const uint64_t value = cursor.number<uint64_t>();
  if (value > uint64_t(INT64_MAX)) cursor.refuse(format("{} does not fit 63 bits", value));
  return int64_t(value);
}

bool read_boolean(Cursor& cursor) {
  const uint8_t value = cursor.number<uint8_t>();
  if (value > 1) cursor.refuse(format("a boolean is {}", value));
  return value == 1;
}

bool is_real(Type type) {
  return type == Type::f32 || type == Type::f64;
}
double read_real(Cursor& cursor, Type type) {
  return type == Type::f32 ? double(cursor.number<float>()) : cursor.number<double>();
}

// The least bytes that an item takes.
uint64_t least_bytes(Type type) {
  switch (type) {
    case Type::u8:
    case Type::i8:
    case Type::boolean:
      return 1;
    case Type::u16:
    case Type::i16:
      return 2;
    case Type::u32:
    case Type::i32:
    case Type::f32:
      return 4;
    default:
      return 8;
  }
}

template <class T, class Read>
std::vector<T> read_items(uint64_t count, Read&& read) {
  std::vector<T> items;
  items.reserve(count);
  for (uint64_t i = 0; i < count; ++i) items.push_back(read());
  return items;
}

GgufValue read_array(Cursor& cursor) {
  const Type type = cursor.type();
  const uint64_t count = cursor.number<uint64_t>();
  if (type == Type::array) cursor.refuse("an array of arrays");
  if (count > max_items || count * least_bytes(type) > cursor.left())
    cursor.refuse(format("an array of {} items; {} bytes are left and {} items are allowed", count,
                         cursor.left(), max_items));
  if (type == Type::string)
    return read_items<std::string>(count, [&] { return cursor.string(max_string_bytes); });
  if (is_real(type)) return read_items<double>(count, [&] { return read_real(cursor, type); });
  if (type == Type::boolean)
    return read_items<int64_t>(count, [&] { return int64_t(read_boolean(cursor)); });
  return read_items<int64_t>(count, [&] { return read_integer(cursor, type); });
}

GgufValue read_value(Cursor& cursor) {
  const Type type = cursor.type();
  if (type == Type::array) return read_array(cursor);
  if (type == Type::string) return cursor.string(max_string_bytes);
  if (type == Type::boolean) return read_boolean(cursor);
  if (is_real(type)) return read_real(cursor, type);
  return read_integer(cursor, type);
}

}  // namespace

GgufMetadata parse_gguf_metadata(Bytes file, const std::string& what) {
  Cursor cursor(file, what);
  if (cursor.left() < 4 || std::memcmp(file.data(), "GGUF", 4) != 0)
    cursor.refuse("it does not begin with GGUF");
  cursor.number<uint32_t>();
  const uint32_t version = cursor.number<uint32_t>();
  if (version != 2 && version != 3)
    cursor.refuse(format("version {}; Weft reads 2 and 3, little-endian", version));
  cursor.number<uint64_t>();  // tensors
  const uint64_t keys = cursor.number<uint64_t>();
  if (keys > max_keys) cursor.refuse(format("{} keys, at most {} are allowed", keys, max_keys));
  std::map<std::string, GgufValue> values;
  for (uint64_t i = 0; i < keys; ++i) {
    std::string key = cursor.string(max_key_bytes);
    if (values.contains(key)) cursor.refuse(format("the key {} appears twice", in_quotes(key)));
    GgufValue value = read_value(cursor);
    values.emplace(std::move(key), std::move(value));
  }
  return GgufMetadata(std::move(values), what);
}

GgufMetadata read_gguf_metadata(const std::string& path) {
  const MappedFile file(path);
  return parse_gguf_metadata(file.bytes(), path);
}

template <class T>
const T& GgufMetadata::get(const std::string& key, std::string_view expected) const {
  const auto found = values_.find(key);
  if (found == values_.end()) data_error("{}: the key {} is missing", what_, in_quotes(key));
  if (const T* const value = std::get_if<T>(&found->second)) return *value;
  data_error("{}: the value of {} must be {}", what_, in_quotes(key), expected);
}

int64_t GgufMetadata::integer(const std::string& key, int64_t low, int64_t high) const {
  const int64_t value = get<int64_t>(key, "an integer");
  if (value < low || value > high)
    data_error("{}: the value of {} must be from {} to {}, got {}", what_, in_quotes(key), low,
               high, value);
  return value;
}
bool GgufMetadata::boolean_or(const std::string& key, bool fallback) const {
  return has(key) ? get<bool>(key, "true or false") : fallback;
}
const std::string& GgufMetadata::string(const std::string& key) const {
  return get<std::string>(key, "a string");
}
const std::vector<std::string>& GgufMetadata::strings(const std::string& key) const {
  return get<std::vector<std::string>>(key, "an array of strings");
}
const std::vector<int64_t>& GgufMetadata::integers(const std::string& key) const {
  return get<std::vector<int64_t>>(key, "an array of integers");
}
const std::vector<double>& GgufMetadata::reals(const std::string& key) const {
  return get<std::vector<double>>(key, "an array of numbers with a point");
}

}  // namespace weft
