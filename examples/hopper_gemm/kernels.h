// The kernels of this folder: their texts, embedded by the build, as the library compiles them.
#pragma once
#include <string>
#include <vector>

#include "examples/hopper_gemm/attention_tiles.h"
#include "examples/hopper_gemm/step_tiles.h"
#include "hopper_gemm_texts.h"  // generated: hopper_gemm_texts[]
#include "weft/device/cuda/cuda_device.h"
#include "weft/kernels/cuda/texts.h"

namespace ladder {

using weft::CudaDevice;
using weft::CudaKernel;

// Rows and columns of all three matrices, and of a sequence: multiples of every tile. Constants of
// the kernels. --small chooses others.
inline int n = 8192, length = 4096;

struct KernelFile {
  std::string function, file;
  int threads = 0, shared_bytes = 0;
  int wgmma_columns = 0;  // of the instruction it uses, if it does
};

inline weft::cuda::KernelSource source_of(const KernelFile& kernel) {
  using namespace weft::kernels::cuda;
  const std::string folder = "examples/hopper_gemm/";
  weft::cuda::KernelSource source;
  source.name = kernel.function;
  for (const KernelText& t : hopper_gemm_texts) {
    const bool header = !t.path.ends_with(".cu");
    if (t.path == folder + kernel.file) source.text = t.text;
    if (header) source.headers.emplace_back(t.path, t.text);
    if (header || t.path == folder + kernel.file) add_headers(source, t.text);
  }
  source.headers.emplace_back(
      "sizes",
      weft::format("namespace ladder {{\nconstexpr int n = {}, length = {};\n}}\n", n, length));
  if (kernel.wgmma_columns)
    source.headers.emplace_back("wgmma",
                                product_text({"wgmma", kernel.wgmma_columns, false, false, false}));
  return source;
}

inline const CudaKernel& load(CudaDevice& gpu, const KernelFile& kernel) {
  return gpu.kernel(kernel.function, kernel.shared_bytes, [&] { return source_of(kernel); });
}

// Launches with one dimension of threads; arguments by value, in the kernel's order.
template <class... Arguments>
void launch(weft::CudaStream& stream, const CudaKernel& kernel, int threads, int x, int y, int z,
            const Arguments&... arguments) {
  void* values[] = {const_cast<Arguments*>(&arguments)...};
  kernel.launch(stream, {unsigned(x), unsigned(y), unsigned(z), unsigned(threads)}, values);
}

}  // namespace ladder
