// What the tests of GPU kernels share.
#pragma once
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "weft/device/cuda/cuda_device.h"

namespace weft::kernels::cuda {

// Tests on a Hopper GPU; skipped, with the reason, where there is none.
class OnHopper : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    if (!weft::cuda::find_driver(&reason)) GTEST_SKIP() << reason;
    static CudaDevice device;
    device.stream().patience_seconds = 10;
    if (device.capability() != 90) GTEST_SKIP() << "not a Hopper GPU: " << device.description();
    gpu_ = &device;
  }
  CudaDevice* gpu_ = nullptr;
};

#define NEEDS_COMPILER()                                                                  \
  do {                                                                                    \
    std::string compiler_reason;                                                          \
    if (!::weft::cuda::compiler_found(&compiler_reason)) GTEST_SKIP() << compiler_reason; \
  } while (false)

// One spilled register of a kernel that owns the whole register file would cost in every tile.
inline void expect_tight(const weft::cuda::KernelSource& source, int registers) {
  const weft::cuda::KernelCache cache(weft::cuda::KernelCache::default_folder());
  const weft::cuda::KernelBinary binary = weft::cuda::compile(source, cache);
  EXPECT_EQ(binary.report.spill_bytes, 0) << binary.log;
  EXPECT_FALSE(binary.report.serialised) << binary.log;
  EXPECT_EQ(binary.report.registers, registers) << binary.log;
}

template <class T>
BufferPtr upload(CudaDevice& gpu, const std::vector<T>& values) {
  BufferPtr b = gpu.allocate(values.size() * sizeof(T));
  gpu.copy_from_host(b->data(), reinterpret_cast<const std::byte*>(values.data()),
                     values.size() * sizeof(T));
  return b;
}
template <class T>
std::vector<T> download(CudaDevice& gpu, const BufferPtr& b, size_t n) {
  std::vector<T> values(n);
  gpu.copy_to_host(reinterpret_cast<std::byte*>(values.data()), b->data(), n * sizeof(T));
  return values;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace weft::kernels::cuda
