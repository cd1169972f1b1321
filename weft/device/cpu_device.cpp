#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <sys/mman.h>

#include "weft/base/error.h"
#include "weft/device/device.h"

namespace weft {
namespace {

constexpr size_t huge_page = size_t(2) << 20;

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

void free_bytes(std::byte* data, size_t) {
  std::free(data);
}

}  // namespace

CpuDevice::CpuDevice(int threads, Isa isa) {
  if (threads < 0 || threads > 1024)
    user_error("--threads {}: expected 1 to 1024, or 0 for all processors", threads);
  stream_ = std::make_unique<CpuStream>(*this, threads ? threads : usable_processors(), isa);
}

CpuDevice::~CpuDevice() = default;

std::string CpuDevice::description() const {
  return format("cpu, {} threads, {}", stream_->threads(), isa_name(stream_->isa()));
}

BufferPtr CpuDevice::allocate(size_t bytes) {
  const size_t align = bytes >= huge_page ? huge_page : 64;
  const size_t rounded = (std::max<size_t>(bytes, 1) + 63) / 64 * 64;
  void* data = nullptr;
  if (posix_memalign(&data, align, rounded) != 0)
    resource_error("no memory: {} bytes were asked for", bytes);
  if (align == huge_page) madvise(data, rounded / huge_page * huge_page, MADV_HUGEPAGE);
  return std::make_shared<Buffer>(*this, static_cast<std::byte*>(data), rounded, free_bytes);
}

void CpuDevice::copy_from_host(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);  // of nothing, the address may be null
}
void CpuDevice::copy_to_host(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

}  // namespace weft
