// Causal attention in two steps and by the library's own kernel.
#pragma once
#include "bench/hopper/attention.h"
#include "examples/hopper_gemm/climb.h"

namespace ladder {

// Three passes: half of the operations as in step 1 of the product, half with two accesses for 64.
// Online softmax, for each block of keys and of values: both are written to shared memory, each of
// four warps reads both, and the queries are read once more.
constexpr double online_operations = 4.0 * tile_queries * tile_keys * head_dim;
constexpr Step attention_steps[] = {
    {"three passes", {fma_unit, 2 / (33 * 128 / 64.0 + 2 * 128 / 64.0)}, false, "nothing yet"},
    {"online softmax",
     {mma_unit, online_operations / ((4 * 2 + 1 + 2) * rows_bytes),
      online_operations / (2 * rows_bytes)},
     false,
     "scores stay in registers, on tensor cores"},
    {"Weft's own", {wgmma_unit}, true, "wgmma, the copy engine, two warpgroups in turn"}};

inline const KernelFile attention_kernels[] = {
    {"scores", "attention_passes.cu", 1024},
    {"softmax", "attention_passes.cu", 32},
    {"values", "attention_passes.cu", head_dim},
    {"online", "attention_online.cu", online_threads, online_shared_bytes}};

class Attention {
 public:
  explicit Attention(CudaDevice& gpu)
      : gpu_(gpu), case_(gpu, head_dim, length, true, sequences * length) {}

  double operations() const { return case_.flops(); }
  static int64_t results() { return int64_t(sequences) * length * width; }

  Run library() {
    return [this](std::byte* o) {
      weft::kernels::AttentionForward params = case_.params(0);
      params.o.data = o;
      weft::kernels::cuda::attention_forward(gpu_.stream(), params);
    };
  }
  Run three_passes() {
    const size_t bytes =
        size_t(sequences * heads) * size_t(length) * size_t(length) * sizeof(float);
    scores_ = gpu_.allocate(bytes);
    const CudaKernel &first = load(gpu_, attention_kernels[0]),
                     &second = load(gpu_, attention_kernels[1]),
                     &third = load(gpu_, attention_kernels[2]);
    return [this, &first, &second, &third](std::byte* o) {
      const int pairs = sequences * heads, blocks = length / 32;
      weft::CudaStream& stream = gpu_.stream();
      const auto& rows = case_.of(0);
      std::byte* x = scores_->data();
      launch(stream, first, 1024, blocks, blocks, pairs, rows.q->data(), rows.k->data(), x);
      launch(stream, second, 32, length, pairs, 1, x);
      launch(stream, third, head_dim, length, pairs, 1, x, rows.v->data(), o);
    };
  }
  Run online() {
    const CudaKernel& kernel = load(gpu_, attention_kernels[3]);
    return [this, &kernel](std::byte* o) {
      const auto& rows = case_.of(0);
      launch(gpu_.stream(), kernel, online_threads, length / tile_queries, heads, sequences,
             rows.q->data(), rows.k->data(), rows.v->data(), o);
    };
  }
  Run run(int step) { return step == 0 ? three_passes() : step == 1 ? online() : library(); }

 private:
  CudaDevice& gpu_;
  weft::bench::AttentionCase case_;
  weft::BufferPtr scores_;
};

}  // namespace ladder
