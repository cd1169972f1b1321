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

struct KernelFile {
  const char *function, *file;
  int threads = 0, shared_bytes = 0;
  int wgmma_columns = 0;  // of the instruction it uses, if it does
};

constexpr KernelFile step_kernel(int step, const char* function, const char* file) {
  const Shape& s = shapes[step];
  return {function, file, s.threads, shared_bytes(s), step >= 5 ? s.tile_n : 0};
}
constexpr KernelFile product_kernels[] = {{},  // steps count from 1
                                          step_kernel(1, "step1", "step1_elements.cu"),
                                          step_kernel(2, "step2", "step2_shared.cu"),
                                          step_kernel(3, "step3", "step3_registers.cu"),
                                          step_kernel(4, "step4", "step4_mma.cu"),
                                          step_kernel(5, "step5", "step5_wgmma.cu"),
                                          step_kernel(6, "step6", "step6_copy_engine.cu"),
                                          step_kernel(7, "step7", "step7_specialised.cu"),
                                          step_kernel(8, "step8", "step8_persistent.cu")};
constexpr KernelFile attention_kernels[] = {
    {"scores", "attention_passes.cu", 1024},
    {"softmax", "attention_passes.cu", 32},
    {"values", "attention_passes.cu", head_dim},
    {"online", "attention_online.cu", online_threads, online_shared_bytes}};

inline weft::cuda::KernelSource source_of(const KernelFile& kernel) {
  using namespace weft::kernels::cuda;
  const std::string folder = "examples/hopper_gemm/";
  weft::cuda::KernelSource source;
  source.name = kernel.function;
  source.headers = kernel_headers();
  for (const KernelText& t : hopper_gemm_texts) {
    if (t.path == folder + kernel.file) source.text = t.text;
    if (!t.path.ends_with(".cu")) source.headers.emplace_back(t.path, t.text);
  }
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
