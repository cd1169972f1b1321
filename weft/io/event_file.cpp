#include "weft/io/event_file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "weft/base/error.h"

namespace weft {
namespace {

// Field numbers with their wire types.
enum Key : uint8_t {
  event_seconds = 1 << 3 | 1,  // double
  event_step = 2 << 3 | 0,     // varint
  event_version = 3 << 3 | 2,  // string
  event_summary = 5 << 3 | 2,  // message
  event_session = 7 << 3 | 2,
  summary_value = 1 << 3 | 2,
  value_tag = 1 << 3 | 2,
  value_number = 2 << 3 | 5,  // float
  session_status = 1 << 3 | 0,
};
constexpr uint8_t session_start = 1;

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_varint(std::string& to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) to.push_back(char(value | 0x80));
  to.push_back(char(value));
}
void put_bytes(std::string& to, Key key, std::string_view bytes) {
  put(to, key);
  put_varint(to, bytes.size());
  to.append(bytes);
}

std::string event_at(int64_t step, double seconds) {
  std::string event;
  put(event, event_seconds), put(event, seconds);
  put(event, event_step), put_varint(event, uint64_t(step));
  return event;
}

uint32_t masked_crc(std::string_view text) {
  const uint32_t crc = crc32c(as_bytes(text));
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    table[i] = i;
    for (int bit = 0; bit < 8; ++bit) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82f63b78u : 0u);
  }
  return table;
}

}  // namespace

uint32_t crc32c(Bytes bytes) {
  static constexpr std::array<uint32_t, 256> table = crc_table();
  uint32_t crc = ~0u;
  for (const std::byte b : bytes) crc = crc >> 8 ^ table[(crc ^ uint32_t(b)) & 255];
  return ~crc;
}

EventFile::EventFile(const std::string& path, int64_t step, double seconds)
    : path_(path),
      file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644)) {
  if (file_ < 0)
    resource_error("cannot open {}: {}; check its permissions", path_, std::strerror(errno));
  std::string version = event_at(0, seconds), start = event_at(step, seconds), status;
  put_bytes(version, event_version, "brain.Event:2");
  write(version);
  put(status, session_status), put(status, session_start);
  put_bytes(start, event_session, status);
  write(start);
}

EventFile::~EventFile() {
  ::close(file_);
}

void EventFile::add(int64_t step, double seconds, std::initializer_list<Scalar> scalars) {
  std::string event = event_at(step, seconds), summary;
  for (const Scalar& scalar : scalars) {
    std::string value;
    put_bytes(value, value_tag, scalar.tag);
    put(value, value_number), put(value, scalar.value);
    put_bytes(summary, summary_value, value);
  }
  put_bytes(event, event_summary, summary);
  write(event);
}

// A TFRecord: length, its checksum, the bytes, their checksum.
void EventFile::write(const std::string& event) {
  std::string record;
  put(record, uint64_t(event.size()));
  put(record, masked_crc(record));
  record += event;
  put(record, masked_crc(event));
  for (size_t written = 0; written < record.size();) {
    const ssize_t n = ::write(file_, record.data() + written, record.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) resource_error("cannot write {}: {}; make room", path_, std::strerror(errno));
    written += size_t(n);
  }
}

}  // namespace weft
