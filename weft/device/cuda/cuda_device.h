// CUDA devices on the nouns of weft/device/device.h, and what only they have: events, graphs,
// kernels. Calls are made on the device's primary context, so that other libraries see the same
// memory.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "weft/device/cuda/compiler.h"
#include "weft/device/cuda/driver.h"
#include "weft/device/device.h"

namespace weft {

class CudaDevice;

// Work enqueued here runs in order on the device, behind the host's back until synchronize().
class CudaStream final : public Stream {
 public:
  explicit CudaStream(CudaDevice& device);
  ~CudaStream() override;
  Device& device() const override;
  CudaDevice& cuda_device() const { return device_; }
  // Throws Error(resource) naming the last kernel when work has failed, or when it has not ended
  // within patience_seconds: a kernel that waits for ever is named, not waited for.
  void synchronize() override;
  void fill(std::byte* to, uint8_t value, size_t bytes);
  void copy(std::byte* to, const std::byte* from, size_t bytes);  // both on the device

  cuda::Handle handle() const { return handle_; }
  void set_last(const std::string& kernel) { last_ = &kernel; }

  double patience_seconds = 120;

 private:
  CudaDevice& device_;
  cuda::Handle handle_ = nullptr;
  const std::string* last_ = nullptr;  // name of the kernel launched last, owned by its CudaKernel
};

// A point in a stream's work.
class CudaEvent {
 public:
  CudaEvent();
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  void record(CudaStream& stream);
  void synchronize();
  // Device time from `earlier` to this one; both have been passed.
  double milliseconds_since(const CudaEvent& earlier) const;

 private:
  cuda::Handle handle_ = nullptr;
};

// What `work` enqueued on the stream, recorded once, launched as one piece any number of times.
// Buffers it touches must outlive it.
class CudaGraph {
 public:
  template <class F>
  CudaGraph(CudaStream& stream, F&& work) {
    begin(stream);
    try {
      work();
    } catch (...) {
      abandon(stream);
      throw;
    }
    end(stream);
  }
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  void launch(CudaStream& stream);

 private:
  void begin(CudaStream& stream);
  void end(CudaStream& stream);
  void abandon(CudaStream& stream);
  cuda::Handle graph_ = nullptr, executable_ = nullptr;
};

// A compiled __global__ function, loaded on one device.
class CudaKernel {
 public:
  struct Shape {
    unsigned blocks_x = 1, blocks_y = 1, blocks_z = 1, threads = 1;
    // It may start before the work ahead of it has ended; it waits by itself for what it reads.
    bool overlaps = false;
  };
  // shared_bytes: dynamic shared memory of every launch.
  CudaKernel(const std::string& name, const cuda::KernelBinary& binary, int shared_bytes);
  ~CudaKernel();
  CudaKernel(const CudaKernel&) = delete;
  CudaKernel& operator=(const CudaKernel&) = delete;

  const std::string& name() const { return name_; }
  // `arguments`: the address of each parameter.
  void launch(CudaStream& stream, const Shape& shape, void** arguments) const;

 private:
  std::string name_;
  unsigned shared_bytes_;
  cuda::Handle module_ = nullptr, function_ = nullptr;
};

class CudaDevice final : public Device {
 public:
  // Throws Error(resource) when there is no driver or no such device.
  explicit CudaDevice(int index = 0);
  ~CudaDevice() override;
  static int count();  // 0 without a driver

  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string description() const override;
  CudaStream& stream() override { return *stream_; }
  BufferPtr allocate(size_t bytes) override;
  void copy_from_host(std::byte* to, const std::byte* from, size_t bytes) override;
  void copy_to_host(std::byte* to, const std::byte* from, size_t bytes) override;

  int multiprocessors() const { return multiprocessors_; }
  int64_t l2_bytes() const { return l2_bytes_; }
  // Major version times 10 plus minor: 90 for Hopper.
  int capability() const { return capability_; }

  // The kernel known by `id`; the first call for an id compiles what `source` returns (or takes it
  // from the cache on disk) and loads it.
  template <class F>
  const CudaKernel& kernel(const std::string& id, int shared_bytes, F&& source) {
    const std::lock_guard lock(kernels_mutex_);
    auto& slot = kernels_[id];
    if (!slot) slot = load(source(), shared_bytes);
    return *slot;
  }

 private:
  std::unique_ptr<CudaKernel> load(const cuda::KernelSource& source, int shared_bytes);
  void make_current() const;

  int index_;  // the driver's handle of a device too
  cuda::Handle context_ = nullptr;
  std::string name_;
  int multiprocessors_ = 0, capability_ = 0;
  int64_t l2_bytes_ = 0;
  size_t memory_bytes_ = 0;
  cuda::KernelCache cache_{cuda::KernelCache::default_folder()};
  std::mutex kernels_mutex_;
  std::map<std::string, std::unique_ptr<CudaKernel>> kernels_;
  std::unique_ptr<CudaStream> stream_;
};

}  // namespace weft
