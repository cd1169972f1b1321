#include "weft/device/device.h"

#include "weft/base/error.h"

namespace weft {

Buffer::Buffer(Device& device, std::byte* data, size_t bytes, void (*free)(std::byte*, size_t))
    : device_(&device), data_(data), bytes_(bytes), free_(free) {
  device_->count_allocated(int64_t(bytes));
}

Buffer::~Buffer() {
  free_(data_, bytes_);
  device_->count_freed(int64_t(bytes_));
}

MemoryStats Device::memory() const {
  return {live_.load(), peak_.load(), allocations_.load()};
}

void Device::reset_peak() {
  peak_ = live_.load();
}

void Device::count_allocated(int64_t bytes) {
  const int64_t live = live_.fetch_add(bytes) + bytes;
  ++allocations_;
  int64_t peak = peak_.load();
  while (live > peak && !peak_.compare_exchange_weak(peak, live)) {
  }
}

void Device::count_freed(int64_t bytes) {
  live_.fetch_sub(bytes);
}

}  // namespace weft
