// Devices, the order of work on them, and the bytes that live there.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "weft/device/isa.h"
#include "weft/device/thread_pool.h"

namespace weft {

class Device;

// Owns bytes on one device; freed with the last reference. Aligned to 64 bytes at least, to 2 MiB
// from 2 MiB up.
class Buffer {
 public:
  Buffer(Device& device, std::byte* data, size_t bytes, void (*free)(std::byte*, size_t));
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  Device& device() const { return *device_; }
  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Device* device_;
  std::byte* data_;
  size_t bytes_;
  void (*free_)(std::byte*, size_t);
};
using BufferPtr = std::shared_ptr<Buffer>;

// What has been handed out by a device; the measured side of a memory plan.
struct MemoryStats {
  int64_t live_bytes = 0, peak_bytes = 0, allocations = 0;
};

// Work on a stream runs in order. On the CPU every call has finished when it returns.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual Device& device() const = 0;
  virtual void synchronize() = 0;
};

enum class DeviceKind { cpu, cuda };

class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceKind kind() const = 0;
  virtual std::string description() const = 0;
  virtual Stream& stream() = 0;
  // Uninitialised bytes. Throws Error(resource) with the size asked for.
  virtual BufferPtr allocate(size_t bytes) = 0;
  virtual void copy_from_host(std::byte* to, const std::byte* from, size_t bytes) = 0;
  virtual void copy_to_host(std::byte* to, const std::byte* from, size_t bytes) = 0;

  MemoryStats memory() const;
  void reset_peak();

 protected:
  friend class Buffer;
  void count_allocated(int64_t bytes);
  void count_freed(int64_t bytes);

 private:
  std::atomic<int64_t> live_{0}, peak_{0}, allocations_{0};
};

// The CPU's stream: its thread pool and the instruction set its kernels are chosen for.
class CpuStream final : public Stream {
 public:
  CpuStream(Device& device, int threads, Isa isa) : device_(device), pool_(threads), isa_(isa) {}
  Device& device() const override { return device_; }
  void synchronize() override {}

  Isa isa() const { return isa_; }
  int threads() const { return pool_.size(); }
  ThreadPool& pool() { return pool_; }

  // f(begin, end) over a static partition of [0, n) in multiples of grain; work of one grain wakes
  // nobody.
  template <class F>
  void parallel_for(int64_t n, int64_t grain, F&& f) {
    if (n <= grain) {
      if (n > 0) pool_.run_here([&] { f(int64_t(0), n); });
      return;
    }
    pool_.run([&](int thread) {
      const Range r = static_range(n, grain, thread, pool_.size());
      if (r.begin < r.end) f(r.begin, r.end);
    });
  }

 private:
  Device& device_;
  ThreadPool pool_;
  Isa isa_;
};

class CpuDevice final : public Device {
 public:
  // threads 0: as many as processors this process may run on.
  explicit CpuDevice(int threads = 0, Isa isa = selected_isa());
  ~CpuDevice() override;
  DeviceKind kind() const override { return DeviceKind::cpu; }
  std::string description() const override;
  CpuStream& stream() override { return *stream_; }
  BufferPtr allocate(size_t bytes) override;
  void copy_from_host(std::byte* to, const std::byte* from, size_t bytes) override;
  void copy_to_host(std::byte* to, const std::byte* from, size_t bytes) override;

 private:
  std::unique_ptr<CpuStream> stream_;
};

// One buffer cut at offsets that a memory plan has computed; holds the temporaries of an
// executable.
class Arena {
 public:
  static constexpr size_t alignment = 64;
  Arena() = default;
  Arena(Device& device, size_t bytes) : buffer_(bytes ? device.allocate(bytes) : nullptr) {}
  size_t bytes() const { return buffer_ ? buffer_->bytes() : 0; }
  std::byte* at(size_t offset) const { return buffer_->data() + offset; }

 private:
  BufferPtr buffer_;
};

}  // namespace weft
