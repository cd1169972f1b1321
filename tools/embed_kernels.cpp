// Compiles every kernel that ships, at build time: the bytes to embed, and a report of registers,
// shared memory and spills. A kernel that spills, or whose tensor-core instructions wait for each
// other, is an error, unless another compiler than the schedules were chosen with did it, which is
// said. Without NVRTC both files are empty, and kernels are compiled when first used.
//   embed_kernels KERNELS REPORT CACHE
#include <cstdio>
#include <exception>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/kernels/cuda/shipped.h"

constexpr std::string_view known_compiler = "nvrtc 13.0";

int main(int argc, char** argv) {
  using namespace weft;
  if (argc != 4) return 2;
  std::string version, bytes, report;
  const bool compiler = cuda::compiler_found(&version);
  if (!compiler) std::printf("no kernels are embedded: %s\n", version.c_str());
  try {
    for (const auto& kernel : compiler ? kernels::cuda::shipped_kernels()
                                       : std::vector<kernels::cuda::ShippedKernel>()) {
      const auto binary = cuda::compile_or_load(kernel.source, cuda::KernelCache(argv[3]));
      const std::string line = report_line(kernel, binary.report);
      if (binary.report.spill_bytes > 0 || binary.report.serialised) {
        if (version == known_compiler) throw_error(ErrorKind::internal, "{}{}", line, binary.log);
        std::printf("%s makes a slow kernel: %s", version.c_str(), line.c_str());
      }
      cuda::append_embedded(bytes, kernel.source, binary);
      report += line;
    }
    write_file_atomic(argv[1], std::string_view(bytes));
    write_file_atomic(argv[2], std::string_view(report));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
