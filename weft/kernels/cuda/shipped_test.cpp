// The kernels that ship. They were compiled when this program was built, if NVRTC was there.
#include "weft/kernels/cuda/shipped.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <gtest/gtest.h>
#include <set>

#include "tests/temp_directory.h"
#include "weft/base/file.h"
#include "weft/kernels/cuda/gpu_testing.h"

namespace weft::kernels::cuda {
namespace {

using weft::cuda::KernelBinary;

TEST(CudaShipped, NamesDifferAndEachFitsTheMultiprocessor) {
  constexpr int shared_limit = 232448, most = 150;
  std::set<std::string> names, keys;
  for (const ShippedKernel& kernel : shipped_kernels()) {
    EXPECT_TRUE(names.insert(kernel.name).second) << kernel.name;
    keys.insert(weft::cuda::cache_key(kernel.source, ""));
    EXPECT_LE(kernel.shared_bytes, shared_limit) << kernel.name;
  }
  EXPECT_LE(names.size(), size_t(most));
}

// Registers, shared memory and spills as they were: a change shows here, and is meant or it is not.
// The same lines are written by the build, to generated/weft_kernels.txt.
TEST(CudaShipped, AreBuiltInAsTheGoldenReportSays) {
  NEEDS_COMPILER();
  std::string compiler;
  weft::cuda::compiler_found(&compiler);
  const std::string golden = read_file("weft/kernels/cuda/shipped_kernels.txt", 1 << 20);
  std::string report = compiler + "\n";
  if (weft::cuda::embedded_count() == 0) GTEST_SKIP() << "built without NVRTC, or sanitized";
  if (!golden.starts_with(report))
    GTEST_SKIP() << "the golden report is another compiler's, not that of " << compiler;
  for (const ShippedKernel& kernel : shipped_kernels()) {
    KernelBinary binary;
    ASSERT_TRUE(weft::cuda::find_embedded(kernel.source, binary)) << kernel.name;
    EXPECT_EQ(binary.origin, KernelBinary::embedded);
    EXPECT_EQ(binary.cubin.substr(1, 3), "ELF");
    report += report_line(kernel, binary.report);
  }
  EXPECT_EQ(report, golden);
}

TEST(CudaShipped, AnotherTextIsNotFound) {
  weft::cuda::KernelSource source = shipped_kernels().front().source;
  source.headers.front().second += " ";
  KernelBinary binary;
  EXPECT_FALSE(weft::cuda::find_embedded(source, binary));
}

class CudaShippedOnGpu : public OnHopper {};

// From text to a function that can be launched, in milliseconds: the median kernel, each way.
TEST_F(CudaShippedOnGpu, AreLoadedInAMillisecond) {
  NEEDS_COMPILER();
  if (weft::cuda::embedded_count() == 0) GTEST_SKIP() << "built without NVRTC";
  const testing::TempDirectory folder;
  const weft::cuda::KernelCache cache(folder.path());
  using Clock = std::chrono::steady_clock;
  std::vector<double> times[3];  // embedded, compiled, cached
  const auto kernels = shipped_kernels();
  for (size_t i = 0; i < kernels.size(); ++i)
    for (int way = 0; way < (i % 8 == 0 ? 3 : 1); ++way) {
      const auto start = Clock::now();
      const auto& source = kernels[i].source;
      const KernelBinary binary = way == 0 ? weft::cuda::compile(source, cache)
                                           : weft::cuda::compile_or_load(source, cache);
      const CudaKernel loaded(source.name, binary, kernels[i].shared_bytes);
      times[way].push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    }
  for (auto& t : times) std::sort(t.begin(), t.end());
  const auto median = [&](int way) { return times[way][times[way].size() / 2]; };
  std::printf(
      "a kernel is there after %.2f ms built in, %.1f ms from the cache, %.0f ms compiled\n",
      median(0), median(2), median(1));
  EXPECT_LE(median(0), 1);
  EXPECT_LE(median(2), 20);
  EXPECT_LE(median(1), 1500);
}

}  // namespace
}  // namespace weft::kernels::cuda
