// TensorBoard's event files: TFRecords of Event messages (tensorflow/core/util/event.proto), of
// which only scalars are written. The few fields are encoded by hand (protobuf.dev, "Encoding").
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "weft/base/file.h"

namespace weft {

// CRC-32C (Castagnoli), as TFRecords have it.
uint32_t crc32c(Bytes bytes);

struct Scalar {
  std::string_view tag;
  float value;
};

// Events of one process, appended as they come; `seconds` is wall time since 1970.
class EventFile {
 public:
  // Replaces a file of that name. Says that a session starts with `step`: TensorBoard drops what
  // older files of the directory say of it and of later ones.
  EventFile(const std::string& path, int64_t step, double seconds);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  void add(int64_t step, double seconds, std::initializer_list<Scalar> scalars);

 private:
  void write(const std::string& event);

  std::string path_;
  int file_;
};

}  // namespace weft
