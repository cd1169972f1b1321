#include "weft/device/cuda/cuda_device.h"

#include <chrono>
#include <thread>

namespace weft {

using cuda::check;
using cuda::DeviceAddress;
using cuda::driver;

namespace {

constexpr int pointer_context = 1;    // CU_POINTER_ATTRIBUTE_CONTEXT
constexpr unsigned non_blocking = 1;  // CU_STREAM_NON_BLOCKING

DeviceAddress address(const std::byte* pointer) {
  return reinterpret_cast<DeviceAddress>(pointer);
}

int attribute(cuda::DeviceAttribute which, int index) {
  int value = 0;
  check(driver().device_attribute(&value, which, index), "cuDeviceGetAttribute");
  return value;
}

// The last reference may go on a thread that has no context yet.
void free_bytes(std::byte* data, size_t) {
  cuda::Handle context = nullptr;
  if (driver().pointer_attribute(&context, pointer_context, address(data)) == 0)
    driver().set_context(context);
  driver().free(address(data));
}

}  // namespace

CudaDevice::CudaDevice(int index) : index_(index) {
  const int devices = count();
  if (index < 0 || index >= devices) {
    driver();  // without one, this is the error
    resource_error("CUDA device {} was asked for; the driver shows {}", index, devices);
  }
  char name[256] = {};
  check(driver().device_name(name, int(sizeof name) - 1, index), "cuDeviceGetName");
  name_ = name;
  check(driver().device_memory(&memory_bytes_, index), "cuDeviceTotalMem");
  multiprocessors_ = attribute(cuda::multiprocessors, index);
  l2_bytes_ = attribute(cuda::l2_bytes, index);
  capability_ =
      attribute(cuda::capability_major, index) * 10 + attribute(cuda::capability_minor, index);
  check(driver().retain_context(&context_, index), "cuDevicePrimaryCtxRetain", name_);
  make_current();
  stream_ = std::make_unique<CudaStream>(*this);
}

CudaDevice::~CudaDevice() {
  driver().set_context(context_);
  stream_.reset();
  kernels_.clear();
  driver().release_context(index_);
}

int CudaDevice::count() {
  const cuda::Driver* d = cuda::find_driver();
  int devices = 0;
  return d && d->device_count(&devices) == 0 ? devices : 0;
}

std::string CudaDevice::description() const {
  return format("cuda {}: {}, {} multiprocessors, {:.1f} GiB, compute capability {}.{}", index_,
                name_, multiprocessors_, double(memory_bytes_) / double(1 << 30), capability_ / 10,
                capability_ % 10);
}

void CudaDevice::make_current() const {
  check(driver().set_context(context_), "cuCtxSetCurrent", name_);
}

BufferPtr CudaDevice::allocate(size_t bytes) {
  make_current();
  const size_t rounded = (std::max<size_t>(bytes, 1) + 255) / 256 * 256;
  DeviceAddress data = 0;
  check(driver().allocate(&data, rounded), "cuMemAlloc", format("{} bytes on {}", bytes, name_));
  return std::make_shared<Buffer>(*this, reinterpret_cast<std::byte*>(data), rounded, free_bytes);
}

void CudaDevice::copy_from_host(std::byte* to, const std::byte* from, size_t bytes) {
  make_current();
  check(driver().copy_to_device(address(to), from, bytes, stream_->handle()), "cuMemcpyHtoD",
        format("{} bytes", bytes));
  stream_->synchronize();
}

void CudaDevice::copy_to_host(std::byte* to, const std::byte* from, size_t bytes) {
  make_current();
  check(driver().copy_to_host(to, address(from), bytes, stream_->handle()), "cuMemcpyDtoH",
        format("{} bytes", bytes));
  stream_->synchronize();
}

std::unique_ptr<CudaKernel> CudaDevice::load(const cuda::KernelSource& source, int shared_bytes) {
  if (capability_ != 90)
    resource_error("kernel {} is for compute capability 9.0; {} has {}.{}", source.name, name_,
                   capability_ / 10, capability_ % 10);
  make_current();
  return std::make_unique<CudaKernel>(source.name, cuda::compile(source, cache_), shared_bytes);
}

CudaStream::CudaStream(CudaDevice& device) : device_(device) {
  check(driver().stream_create(&handle_, non_blocking), "cuStreamCreate");
}

CudaStream::~CudaStream() {
  driver().stream_destroy(handle_);
}

Device& CudaStream::device() const {
  return device_;
}

void CudaStream::synchronize() {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const std::string context = last_ ? format("work up to kernel {}", *last_) : "copies";
  for (;;) {
    const cuda::Status status = driver().stream_query(handle_);
    if (status != cuda::not_ready) return check(status, "cuStreamQuery", context);
    const std::chrono::duration<double> waited = Clock::now() - start;
    if (waited.count() > patience_seconds)
      resource_error("{} has not ended after {:.0f} s; the kernel hangs", context, waited.count());
    // Short waits are watched closely, long ones left to sleep.
    if (waited.count() > 1e-3) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

void CudaStream::fill(std::byte* to, uint8_t value, size_t bytes) {
  check(driver().fill_bytes(address(to), value, bytes, handle_), "cuMemsetD8Async",
        format("{} bytes", bytes));
}

void CudaStream::copy(std::byte* to, const std::byte* from, size_t bytes) {
  check(driver().copy_on_device(address(to), address(from), bytes, handle_), "cuMemcpyDtoDAsync",
        format("{} bytes", bytes));
}

CudaEvent::CudaEvent() {
  check(driver().event_create(&handle_, 0), "cuEventCreate");
}
CudaEvent::~CudaEvent() {
  driver().event_destroy(handle_);
}
void CudaEvent::record(CudaStream& stream) {
  check(driver().event_record(handle_, stream.handle()), "cuEventRecord");
}
void CudaEvent::synchronize() {
  check(driver().event_synchronize(handle_), "cuEventSynchronize");
}
double CudaEvent::milliseconds_since(const CudaEvent& earlier) const {
  float milliseconds = 0;
  check(driver().event_elapsed(&milliseconds, earlier.handle_, handle_), "cuEventElapsedTime");
  return milliseconds;
}

void CudaGraph::begin(CudaStream& stream) {
  constexpr int this_thread_only = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
  check(driver().begin_capture(stream.handle(), this_thread_only), "cuStreamBeginCapture");
}
void CudaGraph::end(CudaStream& stream) {
  check(driver().end_capture(stream.handle(), &graph_), "cuStreamEndCapture");
  check(driver().graph_instantiate(&executable_, graph_, 0), "cuGraphInstantiate");
}
void CudaGraph::abandon(CudaStream& stream) {
  driver().end_capture(stream.handle(), &graph_);
  if (graph_) driver().graph_destroy(graph_);
}
CudaGraph::~CudaGraph() {
  if (executable_) driver().executable_destroy(executable_);
  if (graph_) driver().graph_destroy(graph_);
}
void CudaGraph::launch(CudaStream& stream) {
  check(driver().graph_launch(executable_, stream.handle()), "cuGraphLaunch");
}

CudaKernel::CudaKernel(const std::string& name, const cuda::KernelBinary& binary, int shared_bytes)
    : name_(name), shared_bytes_(unsigned(shared_bytes)) {
  check(driver().module_load(&module_, binary.cubin.data()), "cuModuleLoadData", name_);
  check(driver().module_function(&function_, module_, name_.c_str()), "cuModuleGetFunction", name_);
  if (shared_bytes > 0)
    check(driver().set_function_attribute(function_, cuda::dynamic_shared, shared_bytes),
          "cuFuncSetAttribute", format("{} ({} bytes of shared memory)", name_, shared_bytes));
}

CudaKernel::~CudaKernel() {
  driver().module_unload(module_);
}

void CudaKernel::launch(CudaStream& stream, const Shape& shape, void** arguments) const {
  cuda::LaunchAttribute attribute{cuda::overlapping_launch, {}, {1}};
  const cuda::LaunchConfig config{
      shape.blocks_x, shape.blocks_y,  shape.blocks_z, shape.threads,           1, 1,
      shared_bytes_,  stream.handle(), &attribute,     shape.overlaps ? 1u : 0u};
  const cuda::Status status = driver().launch(&config, function_, arguments, nullptr);
  if (status != 0)
    cuda::call_failed(status, "cuLaunchKernelEx",
                      format("{} ({}x{}x{} blocks of {} threads)", name_, shape.blocks_x,
                             shape.blocks_y, shape.blocks_z, shape.threads));
  stream.set_last(name_);
}

}  // namespace weft
